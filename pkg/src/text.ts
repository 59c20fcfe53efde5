// Made when the first verifier is: jsdom has neither class, and the import alone must work there.
export let encoder: TextEncoder
export let decoder: TextDecoder

/** Makes both coders. The decoder keeps a byte order mark, so that `JSON.parse` refuses it (RFC 8259 §8.1). */
export function makeCoders(): void {
  encoder = new TextEncoder()
  decoder = new TextDecoder('utf-8', { ignoreBOM: true })
}
