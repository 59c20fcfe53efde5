#!/usr/bin/env node
import { readFileSync } from 'node:fs'
import { VerifyError } from '../node.js'
import { parse, type Command } from './command.js'
import { completionsOf } from './completions.js'
import { explain } from './explain.js'
import { helpOf } from './help.js'
import { lint } from './lint.js'
import { POLICY_FLAGS } from './policy.js'
import { err, out } from './terminal.js'
import { UsageError } from './usage-error.js'
import { verify } from './verify.js'

const COMMANDS: Readonly<Record<string, Command>> = { verify, explain, lint, completions: completionsOf(() => COMMANDS) }

const HELP = `Usage: countersign COMMAND

Examines access tokens (RS256 JSON Web Tokens) and the keys that verify them.

${Object.entries(COMMANDS).map(([name, { summary }]) => `  ${name.padEnd(11)}  ${summary}\n`).join('')}
  --version
  --help       also for each command: countersign verify --help

Exit codes: 0 success; 1 refused; 2 usage error, or a file that is no JWK Set; 3 keys cannot be
fetched now.
`

process.exitCode = await main(process.argv.slice(2))

async function main([name = '', ...args]: string[]): Promise<number> {
  if (name === '--help' || name === '-h' || name === 'help') return print(helpFor(args[0]))
  if (name === '--version') return print(`${version()}\n`)
  const command = find(name)
  const prefix = command === undefined ? 'countersign' : `countersign ${name}`
  try {
    if (command === undefined) {
      throw new UsageError(`${name === '' ? 'no command' : 'unknown command'}: expected ${Object.keys(COMMANDS).join(', ')} or --help`)
    }
    if (args.includes('--help') || args.includes('-h')) return print(helpOf(name, command))
    if (typeof WebAssembly === 'undefined') throw new UsageError('this runtime has no WebAssembly: start Node.js without --jitless')
    return await command.run(parse(args, command.flags))
  } catch (error) {
    const problem = usageProblem(error)
    if (problem === undefined) throw error
    err.line(`${prefix}: ${problem}`)
    return 2
  }
}

function helpFor(name = ''): string {
  const command = find(name)
  return command === undefined ? HELP : helpOf(name, command)
}

function find(name: string): Command | undefined {
  return Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined
}

function print(text: string): number {
  out.write(text)
  return 0
}

/** Returns the message for a fault of the command line. */
function usageProblem(error: unknown): string | undefined {
  if (error instanceof UsageError) return error.message
  if (!(error instanceof VerifyError) || error.code !== 'options_invalid') return undefined
  const flag = Object.entries(POLICY_FLAGS).find(([, { option }]) => option === error.reason)?.[0]
  return `--${flag ?? error.reason}: ${error.message}`
}

function version(): string {
  return JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')).version
}
