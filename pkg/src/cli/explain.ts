import { createVerifier, decodeUnverified, VerifyError, type Unverified } from '../node.js'
import { printMembers } from './claims.js'
import type { Command } from './command.js'
import { readNow, readToken } from './input.js'
import { err, out, show } from './terminal.js'
import { drawTimes } from './times.js'

const HELP = `Usage: countersign explain [--json] [--now TIME] [TOKEN | -]

Shows what a token says of itself, when it expires, and what a verifier would look at. Nothing is
verified: anybody can write such a token.

  --now TIME   the time to look at it: seconds since 1970, or such as 2026-11-23T12:00:00Z
  --json       print JSON: { verified: false, header, payload, now, refusal? }

Without TOKEN, or with -, it is read from standard input.

Exit codes: 0 it could be read; 1 it is no JWT; 2 the command line is wrong.
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
      err.line(`  ${whatElse(token)}`)
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

/** Why a verifier would refuse the token whatever its keys; `undefined` where it gets as far as the choice of a key. */
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
  out.line(`${out.paint('yellow', 'not verified')}: anybody can write this; countersign verify checks it`)
  out.line()
  out.line(out.paint('bold', `header: ${kindOf(header['typ'])}`))
  printMembers(out, header)
  out.line()
  out.line(out.paint('bold', 'payload'))
  printMembers(out, payload)
  out.line()
  drawTimes(out, payload, now)
  out.line()
  out.line(out.paint('bold', 'a verifier looks at, in this order'))
  out.table([
    ['form, header', refusal === undefined ? 'as it should be' : `${refusal.code}: ${show(refusal.message)}${adviceOn(refusal, header)}`],
    ['key', header['kid'] === undefined ? 'the only one of the issuer, for it names none' : `the issuer's ${show(header['kid'])}`],
    ['signature', 'by that key, over header and payload'],
    ['iss', claim(payload['iss'], (iss) => `is ${iss} the issuer that you trust?`)],
    ['aud', claim(payload['aud'], (aud) => `is it for you, or for ${aud} alone?`)],
    ['exp', claim(payload['exp'], (exp) => (Number(exp) > now ? 'in the future' : 'token_expired: it is over'))],
  ])
}

/** Kinds of tokens that have a type of their own (RFC 8725 §3.11). */
const KINDS: Readonly<Record<string, string>> = {
  'at+jwt': 'an access token (RFC 9068)',
  jwt: 'a JWT of any kind, such as an ID token',
  'dpop+jwt': 'a proof of possession (RFC 9449), not an access token',
  'logout+jwt': 'a logout token (OpenID Connect), not an access token',
  'statuslist+jwt': 'a list of what was revoked, not an access token',
}

function kindOf(typ: unknown): string {
  if (typ === undefined) return 'a JWT that does not say what kind of token it is'
  const name = String(typ).toLowerCase().replace(/^application\//, '')
  return Object.hasOwn(KINDS, name) ? `${KINDS[name]}` : `a token of type ${show(typ)}`
}

function adviceOn({ code }: VerifyError, { typ }: Readonly<Record<string, unknown>>): string {
  if (code !== 'type_mismatch') return ''
  return typeof typ === 'string' ? `; if that is meant, --type ${show(typ)}` : '; if that is meant, --type any'
}

function claim(value: unknown, say: (value: string) => string): string {
  return value === undefined ? 'claim_missing: it is required' : say(show(value))
}

/** What a text that is no JWT may be. */
function whatElse(text: string): string {
  const parts = text.split('.').length
  if (parts === 5) return 'five parts are an encrypted token (JWE): only whom it is for can read it, and this package does not'
  if (parts === 1) return 'it may be an opaque token, such as a refresh token: only its issuer can tell what it is'
  return 'it may have been cut short or changed on the way: copy it whole'
}
