import { parseArgs } from 'node:util'
import { problemOfName } from '../options.js'

/** A subcommand of `countersign`. */
export interface Command {
  readonly help: string
  readonly flags: Flags
  /** Returns the exit code. */
  run(line: CommandLine): Promise<number>
}

/** Flags by name. A `string` flag takes a value. */
export type Flags = Readonly<Record<string, { readonly type: 'string' | 'boolean'; readonly multiple?: boolean }>>

/** The arguments after the subcommand. */
export interface CommandLine {
  /** Returns the values of a flag in their order; none if it was not given. */
  values(flag: string): string[]
  /** Returns the value of a flag that may be given once. */
  value(flag: string): string | undefined
  /** Returns true if the flag was given. */
  has(flag: string): boolean
  readonly positionals: readonly string[]
}

/** A fault of the command line, or of a file that it names. The message is one line and contains no token. */
export class UsageError extends Error {}

/** Reads the arguments. The messages repeat only names of flags. Those of `parseArgs` repeat values, such as tokens. */
export function parse(args: string[], flags: Flags): CommandLine {
  const { tokens } = parseArgs({ args, options: flags, strict: false, allowPositionals: true, tokens: true })
  const given = new Map<string, string[]>()
  const positionals: string[] = []
  for (const token of tokens) {
    if (token.kind === 'positional') positionals.push(token.value)
    if (token.kind !== 'option') continue
    const { name, rawName, value, inlineValue } = token
    const known = [...Object.keys(flags), 'help']
    if (!known.includes(name)) throw new UsageError(`--${name} ${problemOfName(name, known, '--')}`)
    const { type, multiple } = flags[name] ?? {}
    if (type === 'boolean' && value !== undefined) throw new UsageError(`${rawName} takes no value`)
    if (type === 'string' && (value === undefined || value === '' || (!inlineValue && /^-./.test(value)))) {
      throw new UsageError(`${rawName} needs a value`)
    }
    const values = given.get(name) ?? []
    if (values.length > 0 && !multiple) throw new UsageError(`${rawName} is given twice`)
    given.set(name, [...values, value ?? ''])
  }
  return {
    values: (flag) => given.get(flag) ?? [],
    value: (flag) => given.get(flag)?.[0],
    has: (flag) => given.has(flag),
    positionals,
  }
}
