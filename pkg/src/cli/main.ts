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

Looks at access tokens (RS256 JSON Web Tokens) and at the keys to check them with.

  verify    check a token by its issuer's keys, as a service would
  explain   show what a token says of itself; checks nothing
  lint      tell of each key of a JWK Set whether it can be used

  --version
  --help    also of each command: countersign verify --help

Exit codes: 0 good, 1 refused, 2 the command line or a file on it is wrong.
`

process.exitCode = await main(process.argv.slice(2))

async function main([name = '', ...args]: string[]): Promise<number> {
  if (name === '--help' || name === '-h' || name === 'help') return print(COMMANDS[args[0] ?? '']?.help ?? HELP)
  if (name === '--version') return print(`${version()}\n`)
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined
  const prefix = command === undefined ? 'countersign' : `countersign ${name}`
  try {
    if (command === undefined) {
      throw new UsageError(`${name === '' ? 'no command' : 'no such command'}: give ${Object.keys(COMMANDS).join(', ')} or --help`)
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

/** What is wrong with the command line, in its own words: flags are named like the options that they stand for. */
function usageProblem(error: unknown): string | undefined {
  if (error instanceof UsageError) return error.message
  if (!(error instanceof VerifyError) || error.code !== 'options_invalid') return undefined
  return error.message.replace(/^option `(?:--)?([^`]*)`/, '--$1')
}

function version(): string {
  return JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')).version
}
