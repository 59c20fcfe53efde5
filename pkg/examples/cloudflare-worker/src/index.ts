// In front of a static site: only requests with a valid token reach the site, with the claims as headers.
import { createVerifier, type JwtPayload, type Verifier } from 'countersign'
import { guard } from 'countersign/guard'

interface Env {
  ISSUER: string
  AUDIENCE: string
  ORIGIN: string
}

/** Only the Worker may set headers with this prefix. */
const PREFIX = 'x-verified-'

let verifier: Promise<Verifier> | undefined

export default {
  async fetch(request: Request, { ISSUER, AUDIENCE, ORIGIN }: Env): Promise<Response> {
    // One for all requests of the isolate, because it caches the key set.
    verifier ??= createVerifier({ issuer: ISSUER, audience: AUDIENCE, jwks: `${ISSUER}/.well-known/jwks.json` })
    const { claims, response } = await guard(request, verifier, { scope: 'read' })
    if (response) return response

    const { pathname, search } = new URL(request.url)
    const { method, body } = request
    // Resolved as a relative reference, a path that begins with "//" would name another host.
    // Cloudflare's cache does not know the claims: it would answer with somebody else's response.
    const init: RequestInit = { method, body, headers: headersFor(request, claims), redirect: 'manual', cache: 'no-store' }
    return fetch(ORIGIN + pathname + search, init)
  },
}

/** Returns the request's headers with the claims, without the token and without headers of the prefix. */
function headersFor(request: Request, { sub, client_id, scope }: JwtPayload): Headers {
  const headers = new Headers(request.headers)
  for (const name of [...headers.keys()]) {
    // Some servers do not tell "_" from "-", and PHP not even ".".
    if (name.replace(/[^a-z0-9]/g, '-').startsWith(PREFIX) || name === 'authorization') headers.delete(name)
  }
  for (const [name, value] of Object.entries({ sub, 'client-id': client_id, scope })) {
    // Percent-encoded, every claim is a valid header value.
    if (value !== undefined) headers.set(PREFIX + name, encodeURIComponent(String(value)))
  }
  return headers
}
