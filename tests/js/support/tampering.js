const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'

/**
 * Generates every token that differs from a valid one in one character: a letter of base64url with its highest or lowest
 * bit flipped, a dot instead of a letter, or a letter instead of a dot.
 *
 * @param {string} token
 * @returns {Generator<{ changed: string, at: number, part: 'header' | 'payload' | 'signature' | 'dot', sameOctets:
 *   boolean }>} `sameOctets`: only a strict decoder sees the change, which is in unused bits (RFC 4648 §3.5)
 */
export function* changes(token) {
  const firstDot = token.indexOf('.')
  const lastDot = token.lastIndexOf('.')
  for (let at = 0; at < token.length; at++) {
    const value = ALPHABET.indexOf(token[at])
    const name = at < firstDot ? 'header' : at < lastDot ? 'payload' : 'signature'
    const start = { header: 0, payload: firstDot + 1, signature: lastDot + 1 }[name]
    const lastOfRaggedPart = (at === token.length - 1 || token[at + 1] === '.') && (at + 1 - start) % 4 !== 0
    for (const letter of value < 0 ? ['A'] : [ALPHABET[value ^ 32], ALPHABET[value ^ 1], '.']) {
      const part = value < 0 || letter === '.' ? 'dot' : name
      const sameOctets = lastOfRaggedPart && part !== 'dot' && letter === ALPHABET[value ^ 1]
      yield { changed: token.slice(0, at) + letter + token.slice(at + 1), at, part, sameOctets }
    }
  }
}

/** Returns the token with another first character in its signature. */
export function tamperWith(token) {
  const start = token.lastIndexOf('.') + 1
  return token.slice(0, start) + (token[start] === 'A' ? 'B' : 'A') + token.slice(start + 1)
}
