import { parseArgs } from 'node:util'
import type { VerifyError } from '../node.js'
import { problemOfName } from '../words.js'
import { UsageError } from './usage-error.js'

/** A subcommand of `countersign`. Parser, help and completions are made from it. */
export interface Command {
  /** Its line in the list of commands. */
  readonly summary: string
  readonly about: string
  /** The argument besides the flags. */
  readonly argument: Value
  readonly flags: Flags
  readonly example: string
  readonly exitCodes: string
  /** Returns the exit code. */
  run(line: CommandLine): Promise<number>
}

/** The value of a flag, or an argument. */
export interface Value {
  /** Its name in the help, such as `URL|FILE`. */
  readonly name: string
  /** Its completions: files, or these words. Default: none. */
  readonly complete?: 'files' | readonly string[]
}

export interface Flag {
  /** Its value. A flag without one is a switch. */
  readonly value?: Value
  readonly required?: boolean
  readonly multiple?: boolean
  /** A completion shows the part before the first semicolon or colon. */
  readonly help: string
}

export type Flags = Readonly<Record<string, Flag>>

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

/** Returns the exit code of a refusal. An outage has its own, since the same command can succeed later. */
export function exitCodeOf({ code }: VerifyError): number {
  return code === 'jwks_unavailable' ? 3 : 1
}

/** Reads the arguments. The messages repeat only names of flags. Those of `parseArgs` repeat values, such as tokens. */
export function parse(args: string[], flags: Flags): CommandLine {
  const options = Object.fromEntries(Object.entries(flags).map(([name, { value }]) => {
    return [name, { type: value === undefined ? 'boolean' : 'string' } as const]
  }))
  const { tokens } = parseArgs({ args, options, strict: false, allowPositionals: true, tokens: true })
  const given = new Map<string, string[]>()
  const positionals: string[] = []
  for (const token of tokens) {
    if (token.kind === 'positional') positionals.push(token.value)
    if (token.kind !== 'option') continue
    const { name, rawName, value, inlineValue } = token
    const flag = Object.hasOwn(flags, name) ? flags[name] : undefined
    if (flag === undefined) throw new UsageError(`--${name} ${problemOfName(name, [...Object.keys(flags), 'help'], '--')}`)
    if (flag.value === undefined && value !== undefined) throw new UsageError(`${rawName} takes no value`)
    if (flag.value !== undefined && (value === undefined || value === '' || (!inlineValue && /^-./.test(value)))) {
      throw new UsageError(`${rawName} needs a value`)
    }
    const values = given.get(name) ?? []
    if (values.length > 0 && !flag.multiple) throw new UsageError(`${rawName} is given twice`)
    given.set(name, [...values, value ?? ''])
  }
  for (const [name, { required, help }] of Object.entries(flags)) {
    if (required && !given.has(name)) throw new UsageError(`--${name} is missing: ${help}`)
  }
  return {
    values: (flag) => given.get(flag) ?? [],
    value: (flag) => given.get(flag)?.[0],
    has: (flag) => given.has(flag),
    positionals,
  }
}
