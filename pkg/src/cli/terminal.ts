import type { WriteStream } from 'node:tty'

const STYLES = { bold: [1, 22], dim: [2, 22], red: [31, 39], green: [32, 39], yellow: [33, 39] } as const

type Style = keyof typeof STYLES

/** A stream that is written to line by line, in colours where it is a terminal that wants them. */
export class Output {
  readonly #stream: NodeJS.WriteStream
  readonly #coloured: boolean

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream
    // What is no terminal has no such function; a terminal's looks at NO_COLOR and TERM.
    this.#coloured = (stream as Partial<WriteStream>).hasColors?.() ?? false
    // A reader such as `head` may have enough.
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error
    })
  }

  write(text: string): void {
    this.#stream.write(text)
  }

  line(text = ''): void {
    this.write(`${text}\n`)
  }

  paint(style: Style, text: string): string {
    const [on, off] = STYLES[style]
    return this.#coloured ? `\u001b[${on}m${text}\u001b[${off}m` : text
  }

  /** Lines of cells, each column as wide as its widest cell. */
  table(rows: readonly (readonly string[])[]): void {
    const widths: number[] = []
    for (const row of rows) row.forEach((cell, column) => (widths[column] = Math.max(widths[column] ?? 0, cell.length)))
    for (const row of rows) {
      this.line(`  ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')}`.trimEnd())
    }
  }

  json(value: unknown): void {
    this.line(JSON.stringify(value, undefined, 2).replace(UNSAFE_IN_JSON, (character) => {
      return Array.from({ length: character.length }, (_, index) => `\\u${hex(character.charCodeAt(index)).padStart(4, '0')}`).join('')
    }))
  }
}

export const out = new Output(process.stdout)
export const err = new Output(process.stderr)

/** A value of somebody else's making, in one line, such that nothing in it can move the cursor or turn text around. */
export function show(value: unknown): string {
  const text = (typeof value === 'string' ? value : JSON.stringify(value)).replace(UNSAFE, (character) => `\\u{${hex(character.codePointAt(0))}}`)
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text
}

/** Characters; enough for every URL and id that there is a reason for. */
const MAX_SHOWN = 300

/** Control and format characters, halves of surrogate pairs, and separators of lines. */
const UNSAFE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu
/** `JSON.stringify` has escaped some, and written line feeds of its own. */
const UNSAFE_IN_JSON = /(?!\n)[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu

function hex(codePoint = 0): string {
  return codePoint.toString(16)
}
