/** Formats an untrusted value as one line of at most 300 characters. Escapes characters that could move the cursor or reverse text. */
export function show(value: unknown): string {
  return showUpTo(MAX_SHOWN, value)
}

/** Formats a message of the package, which can hold two URLs and two issuers. */
export function showMessage(message: string): string {
  return showUpTo(4 * MAX_SHOWN, message)
}

/** Formats an untrusted value as one line of at most `longest` characters. */
export function showUpTo(longest: number, value: unknown): string {
  const text = (typeof value === 'string' ? value : JSON.stringify(value)).replace(UNSAFE, (character) => `\\u{${hex(character.codePointAt(0))}}`)
  return text.length > longest ? `${text.slice(0, longest)}…` : text
}

/** Quotes a text for a shell. */
export function quote(text: string): string {
  return /^[\w.+:/@=-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`
}

/** Characters; enough for every reasonable URL and ID. */
const MAX_SHOWN = 300

/** Control and format characters, lone surrogates, and line separators. */
const UNSAFE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu

/** Formats a character of a text as hexadecimal digits. */
export function hex(codePoint = 0): string {
  return codePoint.toString(16)
}
