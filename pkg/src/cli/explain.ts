import { createVerifier, VerifyError } from '../node.js'
import { LATEST_SECOND } from '../options.js'
import { printMembers } from './claims.js'
import type { Command } from './command.js'
import { NOW_FLAG, readNow, readToken } from './input.js'
import { guess, kindOf, readLeniently, type Part, type Reading } from './reading.js'
import { quote, show, showMessage } from './show.js'
import { err, out } from './terminal.js'
import { drawTimes, hasTimes } from './times.js'

export const explain: Command = {
  summary: 'show the content of a token; verifies nothing',
  about: `Shows the content of a token, its times, and the checks of a verifier. Nothing is verified: anybody
can write such a token. A token that is unsigned, encrypted or cut off is shown as far as it can be read.`,
  argument: { name: '[TOKEN | -]' },
  flags: {
    now: NOW_FLAG,
    json: { help: 'print JSON: { verified: false, header, payload, fault?, now, refusal? }' },
  },
  example: 'countersign explain < token',
  exitCodes: '0 header and payload are whole; 1 they are not, or it is no JWT; 2 usage error.',

  async run(line) {
    const now = readNow(line)?.() ?? Date.now() / 1000
    const token = await readToken(line)
    const reading = readLeniently(token)
    if (reading === undefined) {
      err.line(`${err.paint('red', 'token_malformed')}: the header cannot be read: ${guess(token)}`)
      return 1
    }
    const { header, payload, fault } = reading
    const refusal = await refusalOf(token)
    if (line.has('json')) {
      out.json({
        verified: false,
        header: header.members,
        payload: payload?.members,
        fault,
        now,
        refusal: refusal && { code: refusal.code, message: refusal.message },
      })
    } else {
      print(reading, now, refusal)
    }
    return isWhole(header) && isWhole(payload) ? 0 : 1
  },
}

function isWhole(part: Part | undefined): boolean {
  return part !== undefined && part.rest === undefined
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

function print({ header, payload, fault }: Reading, now: number, refusal: VerifyError | undefined): void {
  out.line(`${out.paint('yellow', 'not verified')}: anybody can write this; check it with countersign verify`)
  if (fault !== undefined) out.line(out.paint('red', fault))
  printPart(`header: ${kindOf(header.members['typ'])}`, header)
  if (payload !== undefined) printPart('payload', payload)
  out.line()
  if (payload !== undefined && hasTimes(payload.members)) {
    drawTimes(out, payload.members, now)
    out.line()
  }
  out.line(out.paint('bold', 'a verifier checks, in this order'))
  out.table(checksOf(header.members, isWhole(payload) ? payload?.members : undefined, now, refusal))
}

function printPart(title: string, { members, rest }: Part): void {
  out.line()
  out.line(out.paint('bold', title))
  printMembers(out, members)
  if (rest !== undefined) out.line(`  ${out.paint('red', 'cut off')}: ${show(rest)}`)
}

type Members = Readonly<Record<string, unknown>>

/** Returns the checks of the form alone if there is no payload. */
function checksOf({ typ, kid }: Members, payload: Members | undefined, now: number, refusal: VerifyError | undefined): string[][] {
  const form = ['form, header', refusal === undefined ? 'correct' : `${refusal.code}: ${showMessage(refusal.message)}${adviceOn(refusal, typ)}`]
  if (payload === undefined) return [form]
  return [
    form,
    ['key', kid === undefined ? "the issuer's only key, since the token names none" : `the issuer's key ${show(kid)}`],
    ['signature', 'made with that key, over header and payload'],
    ['iss', claim(payload['iss'], (iss) => `is ${show(iss)} the issuer you trust?`)],
    ['aud', claim(payload['aud'], (aud) => `is ${show(aud)} your service?`, ', except with --audience null and --claim')],
    ['exp', claim(payload['exp'], (exp) => checkOfExpiry(exp, now))],
  ]
}

function adviceOn({ code }: VerifyError, typ: unknown): string {
  if (code !== 'type_mismatch') return ''
  return `; to accept it, add --type ${typeof typ === 'string' ? quote(show(typ)) : 'null'}`
}

function claim(value: unknown, say: (value: unknown) => string, exception = ''): string {
  return value === undefined ? `claim_missing: the claim is required${exception}` : say(value)
}

function checkOfExpiry(exp: unknown, now: number): string {
  if (typeof exp !== 'number') return 'claim_invalid: expected a number of seconds since 1970'
  if (exp > LATEST_SECOND) return 'claim_invalid: it is in milliseconds; expected seconds'
  return exp > now ? 'in the future' : 'token_expired: in the past'
}
