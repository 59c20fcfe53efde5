// Base64url and JSON of texts that may be wrong. This file and those that import nothing of Node.js also run in `inspect.html`.

/** Decodes base64 or base64url as loosely as possible: other characters are left out. */
export function decodeLoosely(text: string): Uint8Array<ArrayBuffer> {
  const digits = text.replaceAll('-', '+').replaceAll('_', '/').replace(/[^A-Za-z\d+/]/g, '')
  // One digit alone is less than an octet.
  const whole = digits.length % 4 === 1 ? digits.slice(0, -1) : digits
  return Uint8Array.from(atob(whole), (character) => character.charCodeAt(0))
}

/** Encodes a value as JSON in base64url, like the header of a token. */
export function encodeJson(value: unknown): string {
  const octets = new TextEncoder().encode(JSON.stringify(value))
  return btoa(Array.from(octets, (octet) => String.fromCharCode(octet)).join('')).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')
}

/** Returns `undefined` for a text that is not JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
