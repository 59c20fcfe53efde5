import { decodePart, encodePart, fromBase64url, toBase64url } from './base64url.js'

const YEAR = 365 * 24 * 60 * 60

/**
 * The forgeries of the page. Each entry has the part that it changes, the button's label, a sentence on the change, and
 * `apply([header, payload, signature], keys)`, which returns the three parts of the forged token. `keys` is the JwkSet in
 * use, which an attacker has too.
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
    done: 'The signature is removed: only its dot is left.',
    apply: ([header, payload]) => [header, payload, ''],
  },
  {
    id: 'alg-none',
    part: 'header',
    label: 'alg: none',
    done: 'The header claims that the token needs no signature.',
    apply: ([header, payload, signature]) => [encodePart({ ...decodePart(header), alg: 'none' }), payload, signature],
  },
  {
    id: 'alg-hs256',
    part: 'header',
    label: 'alg: HS256',
    done: 'The token is signed again, as an HMAC with the public key as its secret. A verifier that takes the algorithm from the token would accept it.',
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
    done: 'The header has the type of a plain JWT, such as an ID token, which is no access token.',
    apply: ([header, payload, signature]) => [encodePart({ ...decodePart(header), typ: 'JWT' }), payload, signature],
  },
]

/** Makes the HMAC of the RS256-to-HS256 confusion: its secret is the public key's PEM text. */
async function hmacWithPublicKey({ kty, n, e }, signingInput) {
  const rsa = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' }
  const publicKey = await crypto.subtle.importKey('jwk', { kty, n, e }, rsa, true, ['verify'])
  const der = new Uint8Array(await crypto.subtle.exportKey('spki', publicKey))
  const lines = btoa(String.fromCharCode(...der)).match(/.{1,64}/g).join('\n')
  const pem = new TextEncoder().encode(`-----BEGIN PUBLIC KEY-----\n${lines}\n-----END PUBLIC KEY-----\n`)
  const secret = await crypto.subtle.importKey('raw', pem, { name: 'HMAC', hash: 'SHA-256' }, false, ['sign'])
  return toBase64url(new Uint8Array(await crypto.subtle.sign('HMAC', secret, new TextEncoder().encode(signingInput))))
}
