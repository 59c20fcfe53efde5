const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { fatal: true })

/** Encodes base64url without padding (RFC 7515, appendix C). */
export function toBase64url(bytes) {
  return btoa(String.fromCharCode(...bytes)).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '')
}

/** Decodes base64url for display. Throws on invalid text; the verifier is far stricter. */
export function fromBase64url(text) {
  return Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), (char) => char.charCodeAt(0))
}

/** Encodes a JSON value as a part of a token. */
export function encodePart(value) {
  return toBase64url(encoder.encode(JSON.stringify(value)))
}

/** Decodes the JSON value in a part of a token. Throws if there is none. */
export function decodePart(part) {
  return JSON.parse(decoder.decode(fromBase64url(part)))
}
