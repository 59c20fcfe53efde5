// Keys and tokens for the tests of the package, made at run time with node:crypto.
import { generateKeyPairSync, sign } from 'node:crypto'

export const ISSUER = 'https://auth.example'
export const AUDIENCE = 'api'
export const NOW = 1_700_000_000

/** Makes a signing key and its public JWK. */
export function makeKey(kid, modulusLength = 2048) {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength })
  return { kid, privateKey, jwk: { ...publicKey.export({ format: 'jwk' }), kid, alg: 'RS256', use: 'sig' } }
}

/** Returns claims that are valid at `NOW`, with changes. `undefined` removes a claim. */
export function claims(changes = {}) {
  return { iss: ISSUER, aud: AUDIENCE, sub: 'somebody', iat: NOW, exp: NOW + 900, ...changes }
}

/** Signs a token. A payload that is a string or bytes is used unchanged. */
export function makeToken(key, payload = claims(), header = {}) {
  const input = [
    JSON.stringify({ alg: 'RS256', typ: 'at+jwt', kid: key.kid, ...header }),
    typeof payload === 'string' || Buffer.isBuffer(payload) ? payload : JSON.stringify(payload),
  ].map((part) => Buffer.from(part).toString('base64url')).join('.')
  return `${input}.${sign('sha256', Buffer.from(input), key.privateKey).toString('base64url')}`
}

/** Returns the options of a verifier with these keys and a clock that stands at `NOW`. */
export function options(keys, changes = {}) {
  return { issuer: ISSUER, audience: AUDIENCE, jwks: { keys: keys.map(({ jwk }) => jwk) }, now: () => NOW, ...changes }
}
