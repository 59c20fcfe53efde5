// Compiled, never run: programs of services.
import { createVerifier } from 'countersign'
import type { Jwk, VerifyError } from 'countersign'
import { guard as middleware } from 'countersign/express'
import type { Auth, Authenticated, Middleware } from 'countersign/express'
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

const protect: Middleware = middleware(later, { scope: 'read' })
protect({ headers: {} }, { statusCode: 200, setHeader: () => {}, end: () => {} }, (error?: unknown) => void error)
declare const expressRequest: Express.Request
const auth: Auth | undefined = expressRequest.auth
const { claims, header, token } = (expressRequest as Authenticated<Express.Request, MyClaims>).auth
const parts: [string | undefined, string, 'RS256', string] = [claims.sub, claims.tenant, header.alg, token]

void [handle, guarded, auth, parts]
