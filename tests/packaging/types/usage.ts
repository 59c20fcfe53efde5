// Compiled, never run: programs of users.
import { createVerifier, decodeUnverified, expiry, VerifyError } from 'countersign'
import type { ErrorCode, Expiry, Jwk, JwkSet, KeyStore, Stage, Unverified, Verified, Verifier, VerifierOptions } from 'countersign'
import { createVerifierSync } from 'countersign/inline'
import * as javaScript from 'countersign/js'
import { createTestIssuer, type TestIssuer } from 'countersign/testing'

interface MyClaims {
  tenant: string
  roles?: string[]
}

const key: Jwk = { kty: 'RSA', kid: 'k1', n: 'AQAB', e: 'AQAB' }
const jwks: JwkSet = { keys: [key] }
const store: KeyStore = { get: async () => undefined, put: async () => {} }
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
  jwksOptions: { timeoutMs: 1000, minTtl: 30, maxTtl: 60, cooldown: 5, store },
}
const verifier: Verifier = await createVerifier(options)
const inline: Verifier = createVerifierSync(options)
const slower: Verifier = javaScript.createVerifierSync(options)
const issuer: TestIssuer = await createTestIssuer({ issuer: 'https://auth.example' })
const minted: string = await issuer.sign({ sub: 'me', aud: undefined }, { typ: 'JWT' })
await createVerifier({ ...issuer.options, scope: 'read' })
await createVerifier({ issuer: 'i', audience: 'a', jwks: new URL('https://auth.example/jwks.json') })

const verified: Verified<MyClaims> = await verifier.verify<MyClaims>('token')
const tenant: string = verified.payload.tenant
const roles: readonly string[] | undefined = (await inline.verify<MyClaims>('token')).payload.roles
const expires: number = verifier.verifySync('token').payload.exp
const custom: unknown = verifier.verifySync('token').payload['custom']
const alg: 'RS256' = verified.header.alg
const keys: JwkSet = verifier.keys()
const done: Promise<void> = verifier.refresh()
const unverified: Unverified = decodeUnverified('token')
const countdown: Expiry = expiry('token', { now: () => 0 })

const codeIsUnion: string extends ErrorCode ? false : true = true
const status: Partial<Record<ErrorCode, number>> = { scope_insufficient: 403, jwks_unavailable: 503 }

try {
  verifier.verifySync('token')
} catch (error) {
  if (error instanceof VerifyError) {
    const code: ErrorCode = error.code
    const stage: Stage = error.stage
    const fields: [boolean, string, string | undefined, unknown] = [error.retryable, error.wwwAuthenticate, error.claim, error.claims?.['sub']]
    if (error.code === 'token_expired') void [code, stage, fields, status[code]]
  }
}

void [slower, minted, tenant, roles, expires, custom, alg, keys, done, unverified, countdown, codeIsUnion]
