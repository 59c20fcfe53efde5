// The libraries and the yardsticks that need node:crypto, which is OpenSSL in Node.js.
import { constants, createPublicKey, publicDecrypt, verify } from 'node:crypto'
import { oneByOneSync } from './measure.js'
import { AUDIENCE, ISSUER } from './tokens.js'

/** @type {import('./libraries.js').Library[]} */
export const NODE_ONLY = [
  {
    name: 'fast-jwt',
    async load({ pem }) {
      return { verifySync: await fastJwt(pem) }
    },
  },
  {
    name: 'jsonwebtoken',
    async load({ pem }) {
      const { default: jsonwebtoken } = await import('jsonwebtoken')
      const key = createPublicKey(pem)
      const options = { algorithms: ['RS256'], issuer: ISSUER, audience: AUDIENCE }
      return { verifySync: (token) => jsonwebtoken.verify(token, key, options) }
    },
  },
]

/** `createVerifier` of fast-jwt. With a key it is synchronous. With a function it would import the key each time. */
export async function fastJwt(key, options = {}) {
  const { createVerifier } = await import('fast-jwt')
  return createVerifier({
    key,
    algorithms: ['RS256'],
    allowedIss: ISSUER,
    allowedAud: AUDIENCE,
    requiredClaims: ['iss', 'aud', 'exp'],
    checkTyp: 'at+jwt',
    cache: false,
    ...options,
  })
}

/** Checks only a token's signature, with node:crypto: the lower bound for a library on OpenSSL. */
export function signatureOnly({ pem }) {
  const key = createPublicKey(pem)
  return (token) => {
    const dot = token.lastIndexOf('.')
    const signature = Buffer.from(token.slice(dot + 1), 'base64url')
    if (!verify('sha256', Buffer.from(token.slice(0, dot), 'latin1'), key, signature)) throw new Error('signature')
  }
}

/**
 * The checks of one signature with node:crypto, to compare with the kernels. Leaves out those that the runtime's node:crypto
 * cannot do.
 *
 * @returns {import('./measure.js').Contestant[]}
 */
export function signatureChecks({ pem }, { message, signature }) {
  const key = createPublicKey(pem)
  const raw = { key, padding: constants.RSA_NO_PADDING }
  const ways = [
    oneByOneSync('node:crypto publicDecrypt, no padding', () => publicDecrypt(raw, signature)),
    oneByOneSync('node:crypto verify, 300 octets hashed', () => verify('sha256', message, key, signature)),
  ]
  return ways.filter(({ run }) => {
    try {
      run([null])
      return true
    } catch {
      return false
    }
  })
}
