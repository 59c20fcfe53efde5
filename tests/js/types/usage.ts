// Compiled, never run: what a user may write, and what the compiler has to refuse.
import { createVerifier, decodeUnverified, expiry, VerifyError } from 'countersign'
import type { ErrorCode, Expiry, JwkSet, Stage, Unverified, Verified, Verifier, VerifierOptions } from 'countersign'

interface MyClaims {
  tenant: string
  roles?: string[]
}

const jwks: JwkSet = { keys: [{ kty: 'RSA', kid: 'k1', n: 'AQAB', e: 'AQAB' }] }
const options: VerifierOptions = {
  issuer: ['https://a.example', 'https://b.example'],
  audience: 'api',
  jwks,
  type: null,
  clockTolerance: 5,
  maxTokenAge: undefined,
  requiredClaims: ['sub'],
  scope: 'read write',
  cache: 1000,
  now: () => Date.now() / 1000,
  fetch: globalThis.fetch,
  jwksOptions: { timeoutMs: 1000, minTtl: 30, maxTtl: 60, cooldown: 5 },
}
const verifier: Verifier = await createVerifier(options)
await createVerifier({ issuer: 'i', audience: 'a', jwks: new URL('https://auth.example/jwks.json') })

const verified: Verified<MyClaims> = await verifier.verify<MyClaims>('token')
const tenant: string = verified.payload.tenant
const expires: number = verifier.verifySync('token').payload.exp
const custom: unknown = verifier.verifySync('token').payload['custom']
const alg: 'RS256' = verified.header.alg
const keys: JwkSet = verifier.keys()
const done: Promise<void> = verifier.refresh()
const unverified: Unverified = decodeUnverified('token')
const countdown: Expiry = expiry('token', { now: () => 0 })

try {
  verifier.verifySync('token')
} catch (error) {
  if (error instanceof VerifyError) {
    const code: ErrorCode = error.code
    const stage: Stage = error.stage
    const fields: [boolean, string, string | undefined, unknown] = [error.retryable, error.wwwAuthenticate, error.claim, error.claims?.['sub']]
    // @ts-expect-error: no such code
    if (error.code === 'token_expried') void [code, stage, fields]
  }
}

// @ts-expect-error: the audience is required
await createVerifier({ issuer: 'i', jwks })
// @ts-expect-error: no such option
await createVerifier({ issuer: 'i', audience: 'a', jwks, audiance: 'a' })
// @ts-expect-error: not a key set
await createVerifier({ issuer: 'i', audience: 'a', jwks: { kty: 'RSA' } })
// @ts-expect-error: a number of tokens
await createVerifier({ issuer: 'i', audience: 'a', jwks, cache: true })
// @ts-expect-error: a verified payload is read-only
verified.payload.exp = 0
// @ts-expect-error: and so are the claims of the caller
verified.payload.tenant = ''
// @ts-expect-error: an unverified payload has no known claims
const subject: string = unverified.payload['sub']

void [tenant, expires, custom, alg, keys, done, countdown, subject]
