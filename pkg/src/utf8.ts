import { decodeUtf8, useCoders } from './text.js'

/** Brings coders to runtimes without them: jsdom has none, and React Native before 0.85 no decoder. */
export function bringCoders(): void {
  if (typeof TextEncoder === 'undefined' || typeof TextDecoder === 'undefined') useCoders({ encoder: { encode, encodeInto }, decoder: { decode } })
}

/** Encodes text. A surrogate without its other half becomes U+FFFD, as the Encoding Standard requires. */
function encode(text: string): Uint8Array<ArrayBuffer> {
  const escaped = encodeURIComponent(text.replace(/[\ud800-\udfff]/gu, '\ufffd'))
  const bytes = escaped.replace(/%(..)/g, (_, hex: string) => String.fromCharCode(parseInt(hex, 16)))
  return Uint8Array.from(bytes, (byte) => byte.charCodeAt(0))
}

/** Encodes the ASCII characters up to the first other one. Callers encode texts with others by {@link encode}. */
function encodeInto(text: string, bytes: Uint8Array): TextEncoderEncodeIntoResult {
  let read = 0
  for (; read < text.length; read++) {
    const code = text.charCodeAt(read)
    if (code > 127) break
    bytes[read] = code
  }
  return { read, written: read }
}

/** Decodes UTF-8. Unlike the platform's decoder, throws a `URIError` if it is not UTF-8. */
function decode(bytes: Uint8Array): string {
  let characters = ''
  // Engines limit the number of arguments.
  for (let start = 0; start < bytes.length; start += 4096) {
    characters += String.fromCharCode(...bytes.subarray(start, start + 4096))
  }
  return decodeUtf8(characters)
}
