import { createVerifier, VerifyError, type Verifier, type VerifierOptions } from '../node.js'
import { adviceOn } from './advice.js'
import { printMembers } from './claims.js'
import { exitCodeOf, type Command, type CommandLine } from './command.js'
import { ALLOW_HTTP_FLAG, NOW_FLAG, readKeySource, readNow, readToken } from './input.js'
import { POLICY_FLAGS, readPolicy } from './policy.js'
import { show, showMessage } from './show.js'
import { err, out } from './terminal.js'
import { drawTimes, formatDuration } from './times.js'

export const verify: Command = {
  summary: "verify a token with its issuer's keys, as a service does",
  about: `Verifies an access token as a service with this package does: its form, type, RS256 signature, key,
issuer, audience, claims and times. Revocation is not checked.

Without TOKEN, or with -, reads the token from standard input, which keeps it out of the process
list and the shell history.`,
  argument: { name: '[TOKEN | -]' },
  flags: {
    jwks: {
      value: { name: 'URL|FILE', complete: 'files' },
      help: "the issuer's public keys, a JWK Set; default: the issuer's metadata names their URL",
    },
    ...POLICY_FLAGS,
    'allow-http': ALLOW_HTTP_FLAG,
    now: NOW_FLAG,
    json: { help: 'print JSON: { valid, header, payload } or { valid, code, stage, message, … }' },
  },
  example: 'countersign verify --issuer https://auth.example --audience api < token',
  exitCodes: '0 valid; 1 refused, with the code first on standard error; 2 usage error; 3 no keys are available, so try again later.',

  async run(line) {
    const verifier = await verifierFor(line)
    const token = await readToken(line)
    try {
      const { header, payload } = await verifier.verify(token)
      if (line.has('json')) out.json({ valid: true, header, payload })
      else printValid(header, payload, clockOf(line))
      return 0
    } catch (error) {
      if (!(error instanceof VerifyError) || error.code === 'options_invalid') throw error
      refuse(error, token, verifier, line)
      return exitCodeOf(error)
    }
  },
}

async function verifierFor(line: CommandLine): Promise<Verifier> {
  const allowHttp = line.has('allow-http')
  const jwks = line.value('jwks')
  const keys = jwks === undefined ? { url: undefined } : await readKeySource(jwks, allowHttp)
  return createVerifier({
    ...readPolicy(line),
    jwks: 'url' in keys ? keys.url : keys.set,
    jwksOptions: { allowHttp },
    now: readNow(line),
  } as VerifierOptions)
}

function clockOf(line: CommandLine): number {
  return readNow(line)?.() ?? Date.now() / 1000
}

function printValid(header: Readonly<Record<string, unknown>>, payload: Readonly<Record<string, unknown>>, now: number): void {
  const key = header['kid'] === undefined ? "the set's only key" : `key ${show(header['kid'])}`
  out.line(`${out.paint('green', 'valid')}, signed with ${key}`)
  out.line()
  printMembers(out, payload)
  out.line()
  drawTimes(out, payload, now)
}

function refuse(error: VerifyError, token: string, verifier: Verifier, line: CommandLine): void {
  const { code, stage, message, reason, claim, retryable, claims } = error
  if (line.has('json')) out.json({ valid: false, code, stage, message, reason, claim, retryable })
  err.line(`${err.paint('red', code)}: ${showMessage(withDurations(message))}`)
  if (line.has('json')) return
  const advice = adviceOn(error, token, verifier, line)
  if (advice !== undefined) err.line(`  ${advice}`)
  if (claims !== undefined && TIME_CODES.has(code)) drawTimes(err, claims, clockOf(line))
}

const TIME_CODES = new Set(['token_expired', 'token_not_yet_valid', 'token_too_old'])

/** Writes the seconds since or until a time with larger units. */
function withDurations(message: string): string {
  return message.replace(/\b(\d+) s (?=ago|ahead)/, (_, seconds: string) => `${formatDuration(Number(seconds))} `)
}
