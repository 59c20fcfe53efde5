// Programs that must not compile. Each line names its error.
import { createVerifier, decodeUnverified } from 'countersign'
import type { ErrorCode, JwkSet, Verified, Verifier, VerifyError } from 'countersign'
import type {} from 'countersign/dist/errors.js' // TS2307
import { guard as middleware } from 'countersign/express'
import { guard } from 'countersign/guard'
import type { Guarded } from 'countersign/guard'
import { createSession } from 'countersign/session'
import { statusList } from 'countersign/status'

declare const error: VerifyError
declare const guarded: Guarded
declare const jwks: JwkSet
declare const request: Request
declare const expressRequest: Express.Request
declare const verified: Verified<{ tenant: string }>
declare const verifier: Verifier

// A missing audience, an unknown option, no key set, a cache that is no number, and a status that is no `statusList`.
createVerifier({ issuer: 'i', jwks }) // TS2345
createVerifier({ issuer: 'i', audience: 'a', jwks, audiance: 'a' }) // TS2353
createVerifier({ issuer: 'i', audience: 'a', jwks: { kty: 'RSA' } }) // TS2322
createVerifier({ issuer: 'i', audience: 'a', jwks, cache: true }) // TS2322
createVerifier({ issuer: 'i', audience: 'a', jwks, status: { maxStale: 60 } }) // TS2353
createVerifier({ issuer: 'i', audience: 'a', jwks, status: () => true }) // TS2322
statusList({ maxStale: '5m' }) // TS2322

// A mode of its own, no issuer, a state that is set, and a code that does not exist.
createSession({ issuer: 'https://auth.example', mode: 'storage' }) // TS2322
createSession({ mode: 'cookie' }) // TS2741
createSession({ issuer: 'https://auth.example' }).state.status = 'active' // TS2540
if (createSession({ issuer: 'https://auth.example' }).state.error?.code === 'ofline') void 0 // TS2367
createSession({ issuer: 'https://auth.example' }).loginWithPasskey({ mediation: 'silent' }) // TS2322

// A verified token is read-only, including the caller's claims. An unverified one has no known claims.
verified.payload.exp = 0 // TS2540
verified.payload.tenant = '' // TS2540
const subject: string = decodeUnverified('token').payload['sub'] // TS2322
const custom: string = verifier.verifySync('token').payload['custom'] // TS2322

// The codes are a union.
const code: ErrorCode = 'token_expried' // TS2820
if (error.code === 'token_expried') void code // TS2367

// A guard may refuse or not have run, has no such options, and requires the verifier.
guarded.claims.sub // TS18048
expressRequest.auth.claims // TS18048
guard(request, verifier, { scopes: 'read' }) // TS2561
middleware(verifier, { scopes: 'read' }) // TS2561
guard(request, { scope: 'read' }) // TS2353

void [subject, custom]
