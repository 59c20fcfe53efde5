#!/usr/bin/env node
import { readFileSync } from 'node:fs'
import { VerifyError } from '../node.js'
import { parse, UsageError, type Command } from './command.js'
import { explain } from './explain.js'
import { lint } from './lint.js'
import { err, out } from './terminal.js'
import { verify } from './verify.js'

const COMMANDS: Readonly<Record<string, Command>> = { verify, explain, lint }

const HELP = `Usage: countersign COMMAND

Examines access tokens (RS256 JSON Web Tokens) and the keys that verify them.

  verify    verify a token with its issuer's keys, as a service does
  explain   show the content of a token; verifies nothing
  lint      check each key of a JWK Set

  --version
  --help    also for each command: countersign verify --help

Exit codes: 0 success; 1 refused; 2 usage error, or a file that is no JWK Set.
`

process.exitCode = await main(process.argv.slice(2))

async function main([name = '', ...args]: string[]): Promise<number> {
  if (name === '--help' || name === '-h' || name === 'help') return print(COMMANDS[args[0] ?? '']?.help ?? HELP)
  if (name === '--version') return print(`${version()}\n`)
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined
  const prefix = command === undefined ? 'countersign' : `countersign ${name}`
  try {
    if (command === undefined) {
      throw new UsageError(`${name === '' ? 'no command' : 'unknown command'}: expected ${Object.keys(COMMANDS).join(', ')} or --help`)
    }
    if (args.includes('--help') || args.includes('-h')) return print(command.help)
    return await command.run(parse(args, command.flags))
  } catch (error) {
    const problem = usageProblem(error)
    if (problem === undefined) throw error
    err.line(`${prefix}: ${problem}`)
    return 2
  }
}

function print(text: string): number {
  out.write(text)
  return 0
}

/** Returns the message for a fault of the command line. Flags have the names of their options. */
function usageProblem(error: unknown): string | undefined {
  if (error instanceof UsageError) return error.message
  if (!(error instanceof VerifyError) || error.code !== 'options_invalid') return undefined
  return `--${error.reason}: ${error.message}`
}

function version(): string {
  return JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')).version
}
