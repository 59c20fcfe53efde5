import type { WriteStream } from 'node:tty'
import { hex } from './show.js'

const STYLES = { bold: [1, 22], dim: [2, 22], red: [31, 39], green: [32, 39], yellow: [33, 39] } as const

type Style = keyof typeof STYLES

/** Writes lines to a stream, with colours if it is a terminal that wants them. */
export class Output {
  readonly #stream: NodeJS.WriteStream
  readonly #coloured: boolean

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream
    const { FORCE_COLOR } = process.env
    // As in Node.js, FORCE_COLOR comes before NO_COLOR. Only terminals have the function, which respects NO_COLOR and TERM.
    this.#coloured =
      FORCE_COLOR === undefined ? ((stream as Partial<WriteStream>).hasColors?.() ?? false) : /^(?:[123]|true)?$/.test(FORCE_COLOR)
    // A reader such as `head` may close the pipe early.
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

  /** Writes rows of cells. Each column is as wide as its widest cell. */
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

/** Control and format characters, lone surrogates, and line separators, except the line feeds that `JSON.stringify` wrote. */
const UNSAFE_IN_JSON = /(?!\n)[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu
