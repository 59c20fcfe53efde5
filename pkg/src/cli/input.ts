import { readFileSync } from 'node:fs'
import { createVerifier, VerifyError, type JwkSet } from '../node.js'
import { isFetchable } from '../urls.js'
import { problemOfKeys } from '../words.js'
import type { CommandLine, Flag } from './command.js'
import { parseJson } from './encoding.js'
import { IS_TOKEN, problemOfKeySet } from './key-set-text.js'
import { show } from './show.js'
import { UsageError } from './usage-error.js'

/** Reads the token from the command line, or else from standard input; with or without `Bearer ` before it. */
export async function readToken({ positionals }: CommandLine): Promise<string> {
  const given = positionals.join(' ')
  const fromStdin = given === '' || given === '-'
  if (given === '' && process.stdin.isTTY) throw new UsageError('no token: give it as an argument, or pipe it to standard input')
  const token = (fromStdin ? await readStdin() : given).trim().replace(/^(?:authorization:\s*)?bearer\s+/i, '')
  if (token === '') throw new UsageError(`no token ${fromStdin ? 'on standard input' : 'given'}`)
  if (/\s/.test(token)) throw new UsageError('the token contains white space: expected the token alone, on one line')
  return token
}

export const NOW_FLAG: Flag = {
  value: { name: 'TIME' },
  help: 'use this time: seconds since 1970, or a date like 2026-11-23T12:00:00Z',
}

export const ALLOW_HTTP_FLAG: Flag = {
  help: 'fetch keys by http from any host; for a private network, since anyone on the way can replace them',
}

/** Returns the clock that `--now` sets. */
export function readNow(line: CommandLine): (() => number) | undefined {
  const text = line.value('now')
  if (text === undefined) return undefined
  const seconds = /^\d+(?:\.\d+)?$/.test(text) ? Number(text) : Date.parse(text) / 1000
  if (!Number.isFinite(seconds)) throw new UsageError('--now is no time: expected seconds since 1970, or a date like 2026-11-23T12:00:00Z')
  return () => seconds
}

/** A key set: its URL, or the content of its file. */
export type KeySource = { readonly url: string } | { readonly set: JwkSet; readonly text: string }

/** Reads a key set from a path, or from standard input for `-`. A URL is not fetched yet. */
export async function readKeySource(source: string, allowHttp: boolean): Promise<KeySource> {
  // One letter would be a drive of Windows.
  if (/^[a-z][a-z\d+.-]+:\/\//i.test(source)) {
    if (!isFetchable(source, allowHttp)) throw new UsageError(`the key set ${problemOfKeys(source)}`)
    return { url: source }
  }
  // A byte order mark is skipped, as in a response.
  const text = (source === '-' ? await readStdin() : readFile(source)).replace(/^\ufeff/, '')
  const name = source === '-' ? 'standard input' : show(source)
  const set = readKeySet(name, text)
  await createVerifier({ issuer: '-', audience: '-', jwks: set }).catch((error: unknown) => {
    throw error instanceof VerifyError ? new UsageError(`${name}: ${error.message}`) : error
  })
  return { set, text }
}

/** Refuses a text that is no JWK Set, with a hint at its actual format. */
export function readKeySet(name: string, text: string): JwkSet {
  const problem = problemOfKeySet(text)
  if (problem !== undefined) throw new UsageError(`${name} ${problem}${problem === IS_TOKEN ? ': give the token last, without a flag' : ''}`)
  return parseJson(text) as JwkSet
}

const FILE_PROBLEMS: Readonly<Record<string, string>> = {
  ENOENT: 'does not exist: give the path of a JWK Set, or a URL that begins with https://',
  EISDIR: 'is a folder: give the path of a JWK Set',
  EACCES: 'cannot be read: change its permissions, or copy it',
}

function readFile(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException
    throw new UsageError(`${show(path)} ${FILE_PROBLEMS[code] ?? `cannot be read (${code})`}`)
  }
}

/** More than any token or key set. */
const MAX_INPUT_BYTES = 2 * 1024 * 1024

async function readStdin(): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of process.stdin) {
    chunks.push(chunk)
    size += chunk.length
    if (size > MAX_INPUT_BYTES) throw new UsageError('standard input is longer than any token or key set')
  }
  return Buffer.concat(chunks).toString('utf8')
}
