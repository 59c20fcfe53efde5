// Compiled, never run: what a user may write, and what the compiler has to refuse.
import { createVerifier } from 'countersign'
import type { Jwk, VerifyError } from 'countersign'
import { guard as middleware } from 'countersign/express'
import type { Auth, Middleware } from 'countersign/express'
import { guard } from 'countersign/guard'
import type { Guarded, GuardOptions } from 'countersign/guard'

interface MyClaims {
  tenant: string
}

const keys: Jwk[] = []
const verifier = await createVerifier({ issuer: 'i', audience: 'a', jwks: { keys } })
const later = createVerifier({ issuer: 'i', audience: 'a', jwks: { keys } })
const request = new Request('https://api.example')
const options: GuardOptions = { scope: ['read', 'write'] }

async function handle(): Promise<Response> {
  const { claims, response, error } = await guard<MyClaims>(request, verifier, options)
  const reason: VerifyError | undefined = error
  void reason
  if (response) return response
  const tenant: string = claims.tenant
  return new Response(`${claims.sub} of ${tenant}`)
}

const guarded: Guarded = await guard(request, later, { scope: 'read' })
// @ts-expect-error: it may be a refusal
guarded.claims.sub
// @ts-expect-error: no such option
await guard(request, verifier, { scopes: 'read' })
// @ts-expect-error: the verifier is missing
await guard(request, { scope: 'read' })

const protect: Middleware = middleware(later, { scope: 'read' })
protect({ headers: {} }, { statusCode: 200, setHeader: () => {}, end: () => {} }, (error?: unknown) => void error)
declare const expressRequest: Express.Request
const auth: Auth | undefined = expressRequest.auth
// @ts-expect-error: there may be none, where the guard did not run
expressRequest.auth.claims
// @ts-expect-error: no such option
middleware(verifier, { scopes: 'read' })

void [handle, auth]
