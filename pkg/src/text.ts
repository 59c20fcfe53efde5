/** The parts of the platform's coders that the package uses. */
interface Coders {
  readonly encoder: {
    encode(text: string): Uint8Array<ArrayBuffer>
    encodeInto(text: string, bytes: Uint8Array): TextEncoderEncodeIntoResult
  }
  readonly decoder: {
    decode(bytes: Uint8Array): string
  }
}

// Made with the first verifier. An import alone must work in runtimes that have no coders.
export let encoder: Coders['encoder']
export let decoder: Coders['decoder']

/** Makes the coders. The decoder keeps a byte order mark, so that `JSON.parse` refuses it (RFC 8259 §8.1). */
export function makeCoders(): void {
  encoder ??= new TextEncoder()
  decoder ??= new TextDecoder('utf-8', { ignoreBOM: true })
}

/** Replaces the platform's coders. */
export function useCoders(coders: Coders): void {
  ;({ encoder, decoder } = coders)
}

/**
 * Decodes UTF-8 from a text with a character for each byte, without a coder of the platform. It keeps a byte order mark too.
 *
 * @throws URIError - If it is not UTF-8.
 */
export function decodeUtf8(bytes: string): string {
  return decodeURIComponent(bytes.replace(/[%\x80-\xff]/g, (byte) => `%${byte.charCodeAt(0).toString(16)}`))
}
