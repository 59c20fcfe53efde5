// Keys and access tokens. They are made at run time with WebCrypto, which every runtime has.

export const ISSUER = 'https://auth.example'
export const AUDIENCE = 'https://api.example'

const RS256 = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' }
const F4 = Uint8Array.of(1, 0, 1)
const encoder = new TextEncoder()

/**
 * Makes a signing key.
 *
 * @param {number} bits of the modulus
 * @returns {Promise<{ kid: string, privateKey: CryptoKey, publicKey: CryptoKey, jwk: object, pem: string }>} the public
 *   key in three forms, for the different libraries
 */
export async function makeKey(bits = 2048) {
  const algorithm = { ...RS256, modulusLength: bits, publicExponent: F4 }
  const { privateKey, publicKey } = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const { n, e } = await crypto.subtle.exportKey('jwk', publicKey)
  const kid = base64url(crypto.getRandomValues(new Uint8Array(32)))
  const spki = base64(new Uint8Array(await crypto.subtle.exportKey('spki', publicKey)))
  const pem = ['-----BEGIN PUBLIC KEY-----', ...spki.match(/.{1,64}/g), '-----END PUBLIC KEY-----', ''].join('\n')
  return { kid, privateKey, publicKey, jwk: { kty: 'RSA', use: 'sig', alg: 'RS256', kid, n, e }, pem }
}

/** Returns a public key without a private one, to fill a key set: making a real key takes long. */
export function makeDecoy() {
  const n = crypto.getRandomValues(new Uint8Array(256))
  n[0] |= 0x80
  n[255] |= 1
  const kid = base64url(crypto.getRandomValues(new Uint8Array(32)))
  return { kty: 'RSA', use: 'sig', alg: 'RS256', kid, n: base64url(n), e: 'AQAB' }
}

/** Returns `count` different access tokens (RFC 9068) of about `length` characters. */
export async function makeTokens(key, count, length = 700) {
  const tokens = []
  for (let made = 0; made < count; made++) tokens.push(await makeToken(key, {}, length))
  return tokens
}

/** Returns an access token with `changes` to its claims; `undefined` removes a claim. */
export async function makeToken(key, changes = {}, length = 700) {
  const header = { alg: 'RS256', typ: 'at+jwt', kid: key.kid }
  const signatureLength = Math.ceil((key.privateKey.algorithm.modulusLength / 8 / 3) * 4)
  const room = length - signatureLength - 2 - encode(header).length
  const input = `${encode(header)}.${encode({ ...claims(Math.floor((room * 3) / 4)), ...changes })}`
  const signature = await crypto.subtle.sign(RS256.name, key.privateKey, encoder.encode(input))
  return `${input}.${base64url(new Uint8Array(signature))}`
}

/** Returns claims with about `size` octets of JSON: the required ones, then the usual ones, then groups to fill the rest. */
function claims(size) {
  const iat = Math.floor(Date.now() / 1000) - 5
  const exp = iat + 3600
  const required = { iss: ISSUER, aud: AUDIENCE, iat, exp, jti: random(6) }
  const usual = { ...required, sub: `user-${random(12)}`, client_id: 'bench', sid: random(12), scope: 'read write' }
  const chosen = JSON.stringify(usual).length <= size ? usual : required
  const groups = []
  for (let left = size - JSON.stringify({ ...chosen, groups }).length; left > 3; left -= groups.at(-1).length + 3) {
    groups.push(random(24).slice(0, left - 3))
  }
  return groups.length === 0 ? chosen : { ...chosen, groups }
}

function random(octets) {
  return base64url(crypto.getRandomValues(new Uint8Array(octets)))
}

function encode(value) {
  return base64url(encoder.encode(JSON.stringify(value)))
}

function base64(octets) {
  return btoa(Array.from(octets, (octet) => String.fromCharCode(octet)).join(''))
}

function base64url(octets) {
  return base64(octets).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')
}
