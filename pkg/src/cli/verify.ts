import { createVerifier, decodeUnverified, VerifyError, type Verifier } from '../node.js'
import { printMembers } from './claims.js'
import { UsageError, type Command, type CommandLine } from './command.js'
import { readKeySource, readNow, readToken } from './input.js'
import { err, out, show } from './terminal.js'
import { drawTimes } from './times.js'

const HELP = `Usage: countersign verify --jwks URL|FILE --issuer I --audience A [flags] [TOKEN | -]

Verifies an access token as a service with this package does: its form, type, RS256 signature, key,
issuer, audience and times. Revocation is not checked.

  --jwks URL|FILE   the issuer's public keys, a JWK Set
  --issuer I        the expected issuer, claim iss; repeat the flag for alternatives
  --audience A      the expected audience, claim aud; repeat the flag for alternatives
  --type T          the expected type, header parameter typ; default at+jwt; any accepts all
  --scope S         a scope that the token must have; repeat the flag for more
  --now TIME        verify at this time: seconds since 1970, or a date like 2026-11-23T12:00:00Z
  --json            print JSON: { valid, header, payload } or { valid, code, stage, message, … }

Without TOKEN, or with -, reads the token from standard input, which keeps it out of the process list
and the shell history:  pbpaste | countersign verify …

Exit codes: 0 valid; 1 refused, with the code on standard error; 2 usage error.
`

export const verify: Command = {
  help: HELP,
  flags: {
    jwks: { type: 'string' },
    issuer: { type: 'string', multiple: true },
    audience: { type: 'string', multiple: true },
    type: { type: 'string' },
    scope: { type: 'string', multiple: true },
    now: { type: 'string' },
    json: { type: 'boolean' },
  },

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
      return 1
    }
  },
}

async function verifierFor(line: CommandLine): Promise<Verifier> {
  for (const flag of ['jwks', 'issuer', 'audience']) {
    if (!line.has(flag)) throw new UsageError(`--${flag} is missing; see countersign verify --help`)
  }
  const keys = await readKeySource(line.value('jwks') ?? '')
  const type = line.value('type')
  return createVerifier({
    jwks: 'url' in keys ? keys.url : keys.set,
    issuer: line.values('issuer'),
    audience: line.values('audience'),
    type: type === 'any' ? null : type,
    scope: line.has('scope') ? line.values('scope') : undefined,
    now: readNow(line),
  })
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
  const { code, stage, message, reason, claim, retryable } = error
  if (line.has('json')) out.json({ valid: false, code, stage, message, reason, claim, retryable })
  err.line(`${err.paint('red', code)}: ${show(message)}`)
  if (line.has('json')) return
  const advice = adviceOn(error, token, verifier)
  if (advice !== undefined) err.line(`  ${advice}`)
  if (error.claims !== undefined && TIME_CODES.has(code)) drawTimes(err, error.claims, clockOf(line))
}

const TIME_CODES = new Set(['token_expired', 'token_not_yet_valid', 'token_too_old'])

/** Returns a hint with the token's own value. */
function adviceOn({ code, claims = {} }: VerifyError, token: string, verifier: Verifier): string | undefined {
  switch (code) {
    case 'algorithm_not_allowed':
      return `its alg is ${show(decodeUnverified(token).header['alg'])}: set the issuer to RS256`
    case 'type_mismatch': {
      const typ = decodeUnverified(token).header['typ']
      return typeof typ === 'string' ? `its typ is ${show(typ)}: to accept it, add --type ${show(typ)}` : 'it has no typ: to accept it, add --type any'
    }
    case 'key_not_found': {
      const kids = verifier.keys().keys.map(({ kid }) => (kid === undefined ? '(a key without kid)' : show(kid)))
      return `the set has ${kids.join(', ') || 'no keys'}: is it the key set of the token's issuer, and is it up to date?`
    }
    case 'key_rejected':
      return 'run countersign lint on the key set for details'
    case 'signature_invalid':
      return "was the token changed, or is this another issuer's key set?"
    case 'issuer_mismatch':
      return `its iss is ${show(claims['iss'])}`
    case 'audience_mismatch':
      return `its aud is ${show(claims['aud'])}`
    case 'scope_insufficient':
      return `its scope is ${show(claims['scope'] ?? '')}`
    default:
      return undefined
  }
}
