import { decodePart, encodePart, fromBase64url, toBase64url } from './base64url.js'

const YEAR = 365 * 24 * 60 * 60

/**
 * What the page can do to a token. Each entry: the part that it changes, the button's label, what was done in a
 * sentence, and `apply([header, payload, signature], keys)`, which answers the three parts of the forged token.
 * `keys` is the JwkSet in use: what an attacker has, too.
 */
export const TAMPERINGS = [
  {
    id: 'payload-subject',
    part: 'payload',
    label: 'Become admin',
    done: 'The subject now says “admin”. The signature is still the one over the old payload.',
    apply: ([header, payload, signature]) => [header, encodePart({ ...decodePart(payload), sub: 'admin' }), signature],
  },
  {
    id: 'payload-expiry',
    part: 'payload',
    label: 'Live a year longer',
    done: 'The expiry moved by a year. The signature is still the one over the old payload.',
    apply([header, payload, signature]) {
      const claims = decodePart(payload)
      return [header, encodePart({ ...claims, exp: claims.exp + YEAR }), signature]
    },
  },
  {
    id: 'signature-bit',
    part: 'signature',
    label: 'Flip one bit',
    done: 'One bit in the middle of the signature is flipped.',
    apply([header, payload, signature]) {
      const bytes = fromBase64url(signature)
      bytes[bytes.length >> 1] ^= 1
      return [header, payload, toBase64url(bytes)]
    },
  },
  {
    id: 'signature-none',
    part: 'signature',
    label: 'Leave it out',
    done: 'The signature is gone: only its dot is left.',
    apply: ([header, payload]) => [header, payload, ''],
  },
  {
    id: 'alg-none',
    part: 'header',
    label: 'alg: none',
    done: 'The header says that the token is not signed at all, and hopes to be believed.',
    apply: ([header, payload, signature]) => [encodePart({ ...decodePart(header), alg: 'none' }), payload, signature],
  },
  {
    id: 'alg-hs256',
    part: 'header',
    label: 'alg: HS256',
    done: 'The token is signed anew, as an HMAC keyed with the public key: a verifier that lets the token choose would take it.',
    async apply([header, payload], keys) {
      const forged = encodePart({ ...decodePart(header), alg: 'HS256' })
      const jwk = keys.keys.find(({ kid }) => kid === decodePart(header).kid)
      return [forged, payload, await hmacWithPublicKey(jwk, `${forged}.${payload}`)]
    },
  },
  {
    id: 'kid-unknown',
    part: 'header',
    label: 'kid: of no key',
    done: 'The header names a key that the issuer never published.',
    apply: ([header, payload, signature]) => [encodePart({ ...decodePart(header), kid: 'a-key-of-my-own' }), payload, signature],
  },
  {
    id: 'type-jwt',
    part: 'header',
    label: 'typ: JWT',
    done: 'The header says plain JWT, as an ID token’s would: good for something else, perhaps, but no access token.',
    apply: ([header, payload, signature]) => [encodePart({ ...decodePart(header), typ: 'JWT' }), payload, signature],
  },
]

/** The RS256-to-HS256 confusion, done for real: the HMAC's secret is the public key's PEM text. */
async function hmacWithPublicKey({ kty, n, e }, signingInput) {
  const rsa = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' }
  const publicKey = await crypto.subtle.importKey('jwk', { kty, n, e }, rsa, true, ['verify'])
  const der = new Uint8Array(await crypto.subtle.exportKey('spki', publicKey))
  const lines = btoa(String.fromCharCode(...der)).match(/.{1,64}/g).join('\n')
  const pem = new TextEncoder().encode(`-----BEGIN PUBLIC KEY-----\n${lines}\n-----END PUBLIC KEY-----\n`)
  const secret = await crypto.subtle.importKey('raw', pem, { name: 'HMAC', hash: 'SHA-256' }, false, ['sign'])
  return toBase64url(new Uint8Array(await crypto.subtle.sign('HMAC', secret, new TextEncoder().encode(signingInput))))
}
