const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { fatal: true })

/** Base64url without padding (RFC 7515, appendix C). */
export function toBase64url(bytes) {
  return btoa(String.fromCharCode(...bytes)).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '')
}

/** The bytes of base64url text. Throws where it is none: this is for showing, the verifier is far stricter. */
export function fromBase64url(text) {
  return Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), (char) => char.charCodeAt(0))
}

/** A JSON value as one part of a token. */
export function encodePart(value) {
  return toBase64url(encoder.encode(JSON.stringify(value)))
}

/** One part of a token as the JSON value it holds. Throws where it holds none. */
export function decodePart(part) {
  return JSON.parse(decoder.decode(fromBase64url(part)))
}
