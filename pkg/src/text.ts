export const encoder = new TextEncoder()

/** Keeps a byte order mark, so that `JSON.parse` refuses it (RFC 8259 §8.1). */
export const decoder = new TextDecoder('utf-8', { ignoreBOM: true })
