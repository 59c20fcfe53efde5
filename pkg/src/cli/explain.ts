import { createVerifier, decodeUnverified, VerifyError, type Unverified } from '../node.js'
import { printMembers } from './claims.js'
import type { Command } from './command.js'
import { readNow, readToken } from './input.js'
import { err, out, show } from './terminal.js'
import { drawTimes } from './times.js'

const HELP = `Usage: countersign explain [--json] [--now TIME] [TOKEN | -]

Shows the content of a token, its times, and the checks of a verifier. Nothing is verified: anybody can
write such a token.

  --now TIME   use this time: seconds since 1970, or a date like 2026-11-23T12:00:00Z
  --json       print JSON: { verified: false, header, payload, now, refusal? }

Without TOKEN, or with -, reads the token from standard input.

Exit codes: 0 the token could be read; 1 it is no JWT; 2 usage error.
`

export const explain: Command = {
  help: HELP,
  flags: { json: { type: 'boolean' }, now: { type: 'string' } },

  async run(line) {
    const now = readNow(line)?.() ?? Date.now() / 1000
    const token = await readToken(line)
    let unverified: Unverified
    try {
      unverified = decodeUnverified(token)
    } catch (error) {
      if (!(error instanceof VerifyError)) throw error
      err.line(`${err.paint('red', error.code)}: ${error.message}`)
      err.line(`  ${guess(token)}`)
      return 1
    }
    const refusal = await refusalOf(token)
    if (line.has('json')) {
      out.json({ verified: false, ...unverified, now, refusal: refusal && { code: refusal.code, message: refusal.message } })
    } else {
      print(unverified, now, refusal)
    }
    return 0
  },
}

/** Returns a verifier's refusal of the token before the choice of a key, if there is one. */
async function refusalOf(token: string): Promise<VerifyError | undefined> {
  const verifier = await createVerifier({ issuer: '-', audience: '-', jwks: { keys: [] } })
  try {
    verifier.verifySync(token)
  } catch (error) {
    if (!(error instanceof VerifyError)) throw error
    if (error.code !== 'key_not_found') return error
  }
  return undefined
}

function print({ header, payload }: Unverified, now: number, refusal: VerifyError | undefined): void {
  out.line(`${out.paint('yellow', 'not verified')}: anybody can write this; check it with countersign verify`)
  out.line()
  out.line(out.paint('bold', `header: ${kindOf(header['typ'])}`))
  printMembers(out, header)
  out.line()
  out.line(out.paint('bold', 'payload'))
  printMembers(out, payload)
  out.line()
  drawTimes(out, payload, now)
  out.line()
  out.line(out.paint('bold', 'a verifier checks, in this order'))
  out.table([
    ['form, header', refusal === undefined ? 'correct' : `${refusal.code}: ${show(refusal.message)}${adviceOn(refusal, header)}`],
    ['key', header['kid'] === undefined ? "the issuer's only key, since the token names none" : `the issuer's key ${show(header['kid'])}`],
    ['signature', 'made with that key, over header and payload'],
    ['iss', claim(payload['iss'], (iss) => `is ${iss} the issuer you trust?`)],
    ['aud', claim(payload['aud'], (aud) => `is ${aud} your service?`)],
    ['exp', claim(payload['exp'], (exp) => (Number(exp) > now ? 'in the future' : 'token_expired: in the past'))],
  ])
}

/** Token types (RFC 8725 §3.11). */
const KINDS: Readonly<Record<string, string>> = {
  'at+jwt': 'an access token (RFC 9068)',
  jwt: 'a JWT without a specific type, such as an ID token',
  'dpop+jwt': 'a DPoP proof (RFC 9449), not an access token',
  'logout+jwt': 'a logout token (OpenID Connect), not an access token',
  'statuslist+jwt': 'a status list, not an access token',
}

function kindOf(typ: unknown): string {
  if (typ === undefined) return 'a JWT without a type'
  const name = String(typ).toLowerCase().replace(/^application\//, '')
  return Object.hasOwn(KINDS, name) ? `${KINDS[name]}` : `a token of type ${show(typ)}`
}

function adviceOn({ code }: VerifyError, { typ }: Readonly<Record<string, unknown>>): string {
  if (code !== 'type_mismatch') return ''
  return typeof typ === 'string' ? `; to accept it, add --type ${show(typ)}` : '; to accept it, add --type any'
}

function claim(value: unknown, say: (value: string) => string): string {
  return value === undefined ? 'claim_missing: the claim is required' : say(show(value))
}

/** Guesses the kind of a text that is no JWT. */
function guess(text: string): string {
  const parts = text.split('.').length
  if (parts === 5) return 'five parts are an encrypted token (JWE), which only its recipient can read; this package does not support JWE'
  if (parts === 1) return 'it may be an opaque token, such as a refresh token, which only its issuer can read'
  return 'it may have been truncated or changed: copy the whole token'
}
