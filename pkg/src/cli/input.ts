import { readFileSync } from 'node:fs'
import { createVerifier, type JwkSet } from '../node.js'
import { UsageError, type CommandLine } from './command.js'
import { show } from './terminal.js'

/** The token on the command line, or else on standard input; with or without `Bearer ` before it. */
export async function readToken({ positionals }: CommandLine): Promise<string> {
  const given = positionals.join(' ')
  const fromStdin = given === '' || given === '-'
  if (given === '' && process.stdin.isTTY) throw new UsageError('no token: give one, or - and one on standard input')
  const token = (fromStdin ? await readStdin() : given).trim().replace(/^(?:authorization:\s*)?bearer\s+/i, '')
  if (token === '') throw new UsageError(`no token ${fromStdin ? 'on standard input' : 'given'}`)
  if (/\s/.test(token)) throw new UsageError('more than one word where the token should be: expected the token alone, unwrapped')
  return token
}

/** The time that `--now` gives, for the clock of a verifier. */
export function readNow(line: CommandLine): (() => number) | undefined {
  const text = line.value('now')
  if (text === undefined) return undefined
  const seconds = /^\d+(?:\.\d+)?$/.test(text) ? Number(text) : Date.parse(text) / 1000
  if (!Number.isFinite(seconds)) throw new UsageError('--now is no time: expected seconds since 1970, or such as 2026-11-23T12:00:00Z')
  return () => seconds
}

/** Where a key set is: the URL as it was given; or what the file holds. */
export type KeySource = { readonly url: string } | { readonly set: JwkSet; readonly text: string }

/**
 * Finds a key set by URL or path, `-` for standard input. A file that is no JWK Set is refused with what it is instead,
 * and with what to do; a URL is not fetched yet.
 */
export async function readKeySource(source: string): Promise<KeySource> {
  // Of two characters and more, for Windows' drives.
  if (/^[a-z][a-z\d+.-]+:\/\//i.test(source)) return { url: source }
  const name = source === '-' ? 'standard input' : show(source)
  const text = source === '-' ? await readStdin() : readFile(source)
  const problem = notAKeySet(text)
  if (problem !== undefined) throw new UsageError(`${name} ${problem}`)
  const set = parseJson(text) as JwkSet
  // Its words on what else it may be: a single key, a private one…
  await createVerifier({ issuer: '-', audience: '-', jwks: set }).catch((error: Error) => {
    throw new UsageError(error.message.replace(/^option `jwks`/, name))
  })
  return { set, text }
}

/** What the text is instead of a JWK Set, and what to do about it, as far as the verifier would not say. */
function notAKeySet(text: string): string | undefined {
  if (text.trim() === '') return 'is empty: expected a JWK Set, { "keys": [ … ] }'
  if (/-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(text)) {
    return 'holds a private key, which only the issuer may have: give the URL of its public keys, a JWK Set'
  }
  if (/^\s*-----BEGIN/.test(text)) {
    return `is PEM: give a JWK Set; for a public key or a certificate, node -p '${TO_JWK_SET}' < FILE makes one`
  }
  if (/^\s*</.test(text)) return `is HTML or XML, not JSON: ${WHERE_SETS_ARE}`
  if (/^\s*[\w-]+\.[\w-]*\.[\w-]*\s*$/.test(text)) return 'is a token, not a key set: the token goes last, without a flag'
  if (text.length > MAX_SET_CHARACTERS) return 'is larger than 256 KiB, which no verifier takes for a key set'
  const value = parseJson(text)
  if (value === undefined) return 'is not JSON: expected a JWK Set, { "keys": [ … ] }'
  const uri = (value as { jwks_uri?: unknown } | null)?.jwks_uri
  if (typeof uri === 'string') return `is the issuer's metadata: its key set is at ${show(uri)}`
  return undefined
}

const WHERE_SETS_ARE = 'an issuer names the URL of its key set, as jwks_uri, at /.well-known/oauth-authorization-server or /.well-known/openid-configuration'

/** One key, without the name that its tokens may give it. */
const TO_JWK_SET = 'JSON.stringify({ keys: [crypto.createPublicKey(fs.readFileSync(0)).export({ format: "jwk" })] })'

/** As a response of it would be refused. */
const MAX_SET_CHARACTERS = 256 * 1024

const FILE_PROBLEMS: Readonly<Record<string, string>> = {
  ENOENT: 'is no file: give the path of a JWK Set, or a URL with https:// before it',
  EISDIR: 'is a folder: give the path of a JWK Set',
  EACCES: 'may not be read: change its permissions, or copy it',
}

function readFile(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException
    throw new UsageError(`${show(path)} ${FILE_PROBLEMS[code] ?? `cannot be read (${code})`}`)
  }
}

/** Longer than any token or key set that a verifier takes. */
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

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
