// The libraries that run in every runtime, browsers included. All have one interface and check the same: RS256, issuer,
// audience and times. The key is imported beforehand, and nothing is cached.
import { AUDIENCE, ISSUER } from './tokens.js'

/**
 * @typedef {object} Library
 * @property {string} name the name of its npm package
 * @property {(key: object) => Promise<Ready>} load imports it and makes a verifier for a key of `makeKey`
 *
 * @typedef {object} Ready
 * @property {(token: string) => unknown} [verifySync] throws on a refused token; absent in an asynchronous library
 * @property {(token: string) => Promise<unknown>} [verify] absent in a synchronous library
 */

/** @type {Library[]} */
export const PORTABLE = [
  { name: 'countersign', load: (key) => countersign([key.jwk]) },
  {
    name: 'jose',
    async load({ jwk }) {
      const { importJWK, jwtVerify } = await import('jose')
      const key = await importJWK(jwk, 'RS256')
      return { verify: (token) => jwtVerify(token, key, JOSE) }
    },
  },
  { name: 'aws-jwt-verify', load: (key) => awsJwtVerify([key.jwk]) },
  {
    name: 'hono',
    async load({ publicKey }) {
      const { verify } = await import('hono/jwt')
      const options = { alg: 'RS256', iss: ISSUER, aud: AUDIENCE, typ: 'at+jwt' }
      return { verify: (token) => verify(token, publicKey, options) }
    },
  },
  {
    name: '@tsndr/cloudflare-worker-jwt',
    async load({ publicKey }) {
      const { verify } = await import('@tsndr/cloudflare-worker-jwt')
      return {
        async verify(token) {
          const decoded = await verify(token, publicKey, { algorithm: 'RS256', throwError: true })
          // It has no options for these two. Its users check them by hand.
          if (decoded.payload.iss !== ISSUER || decoded.payload.aud !== AUDIENCE) throw new Error('issuer or audience')
          return decoded
        },
      }
    },
  },
]

/** The libraries that choose the key from a set by the token's `kid`. `load` takes the JWKs of the set. */
export const WITH_KEY_SETS = [
  { name: 'countersign', load: countersign },
  {
    name: 'jose',
    async load(keys) {
      const { createLocalJWKSet, jwtVerify } = await import('jose')
      const set = createLocalJWKSet({ keys })
      return { verify: (token) => jwtVerify(token, set, JOSE) }
    },
  },
  { name: 'aws-jwt-verify', load: awsJwtVerify },
]

const JOSE = { algorithms: ['RS256'], issuer: ISSUER, audience: AUDIENCE, typ: 'at+jwt', requiredClaims: ['exp'] }

/** Makes our verifier. `options` are more options for `createVerifier`. */
export async function countersign(keys, options = {}) {
  const { createVerifier } = await import('countersign')
  const verifier = await createVerifier({ issuer: ISSUER, audience: AUDIENCE, jwks: { keys }, ...options })
  return { verify: (token) => verifier.verify(token), verifySync: (token) => verifier.verifySync(token) }
}

async function awsJwtVerify(keys) {
  const { JwtVerifier } = await import('aws-jwt-verify')
  const verifier = JwtVerifier.create({ issuer: ISSUER, audience: AUDIENCE, jwksUri: `${ISSUER}/jwks.json` })
  verifier.cacheJwks({ keys })
  // In browsers verifySync is there, but only throws.
  const canSync = globalThis.process?.versions?.node !== undefined
  return { verify: (token) => verifier.verify(token), ...(canSync && { verifySync: (token) => verifier.verifySync(token) }) }
}
