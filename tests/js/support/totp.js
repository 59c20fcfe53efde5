import { createHmac } from 'node:crypto'

const STEP_MS = 30_000
const BASE32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'

/**
 * Returns a function that makes the codes of an authenticator app (RFC 6238). Each works once, so each is of another time step: the
 * issuer takes the one before and the one after the current step, too.
 *
 * @param {string} secret in base32
 */
export function codesOf(secret) {
  let step = 0
  return () => codeOf(secret, (step = Math.max(step + 1, Math.floor(Date.now() / STEP_MS) - 1)))
}

function codeOf(secret, step) {
  const bits = [...secret].map((letter) => BASE32.indexOf(letter).toString(2).padStart(5, '0')).join('')
  const key = Buffer.from(bits.match(/.{8}/g).map((octet) => parseInt(octet, 2)))
  const counter = Buffer.alloc(8)
  counter.writeBigUInt64BE(BigInt(step))
  const hash = createHmac('sha1', key).update(counter).digest()
  return String((hash.readUInt32BE(hash.at(-1) & 15) & 0x7fffffff) % 1_000_000).padStart(6, '0')
}
