import { parseArgs } from 'node:util'
import { checkNames } from '../options.js'

/** One of the things that `countersign` does. */
export interface Command {
  readonly help: string
  /** The flags' names, and whether a value follows. */
  readonly flags: Flags
  /** Gives the exit code. */
  run(line: CommandLine): Promise<number>
}

export type Flags = Readonly<Record<string, { readonly type: 'string' | 'boolean'; readonly multiple?: boolean }>>

/** What was on the command line after the command. */
export interface CommandLine {
  /** The values of a flag, in their order; none where it was not given. */
  values(flag: string): string[]
  /** The value of a flag that may be given once. */
  value(flag: string): string | undefined
  /** Whether a flag without value was given. */
  has(flag: string): boolean
  readonly positionals: readonly string[]
}

/** The command line is wrong, or a file that it names. The message is one line, and holds no token. */
export class UsageError extends Error {}

/** Reads the arguments. Unlike the messages of `parseArgs`, those of here repeat nothing but the names of flags. */
export function parse(args: string[], flags: Flags): CommandLine {
  const { tokens } = parseArgs({ args, options: flags, strict: false, allowPositionals: true, tokens: true })
  const given = new Map<string, string[]>()
  const positionals: string[] = []
  for (const token of tokens) {
    if (token.kind === 'positional') positionals.push(token.value)
    if (token.kind !== 'option') continue
    const { name, rawName, value, inlineValue } = token
    checkNames({ [name]: true }, [...Object.keys(flags), 'help'], '--')
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
