import { refuse, refuseOption, type VerifyError } from './errors.js'
import { deepFreeze } from './freeze.js'
import { isObject, readClock, readOnly } from './options.js'
import { decodeUtf8 } from './text.js'

/** The content of a token. Anybody can write such a token: **nothing was verified**. */
export interface Unverified {
  /** The header, deeply frozen. */
  readonly header: Readonly<Record<string, unknown>>
  /** The claims, deeply frozen. */
  readonly payload: Readonly<Record<string, unknown>>
}

/** The expiry time in a token. **Nothing was verified.** */
export interface Expiry {
  /** `exp`: seconds since the UNIX epoch; may have a fraction. */
  readonly expiresAt: number
  /** Seconds from now until `expiresAt`; 0 if the token has expired. */
  readonly secondsLeft: number
  /** True if `exp` is now or in the past. */
  readonly expired: boolean
}

/**
 * Reads a token's header and payload. **Nothing is verified**: not the signature, not one claim. Use it to show a token,
 * or to choose a verifier by its `iss`; never to grant access.
 *
 * Only the form is checked: three parts of strict base64url (RFC 7515 §2). Header and payload must be JSON objects in
 * UTF-8. If a member occurs twice, the last one counts; a verifier refuses such a token. There is no size limit.
 *
 * @param token - The token in compact form, without `Bearer `.
 * @returns Deeply frozen plain objects.
 * @throws {@link VerifyError} - `token_malformed`.
 */
export function decodeUnverified(token: string): Unverified {
  if (typeof token !== 'string') throw malformed(NOT_A_STRING)
  const parts = token.split('.', 4)
  const [header, payload, signature] = parts
  if (parts.length !== 3 || header === undefined || payload === undefined || signature === undefined) {
    throw malformed('the token does not have exactly three parts: expected header.payload.signature')
  }
  checkForm(signature, 'signature')
  return deepFreeze({ header: readObject(header, 'header'), payload: readObject(payload, 'payload') })
}

/**
 * Returns the expiry time of a token, for a countdown or a refresh. **Nothing is verified**: a token that is not expired
 * may still be invalid.
 *
 * @param token - The token in compact form.
 * @param options - `now`: the clock, in seconds since the UNIX epoch. Default: the system clock.
 * @throws {@link VerifyError} - `token_malformed`, also if `exp` is missing or not a number; `options_invalid`.
 */
export function expiry(token: string, options: { now?: (() => number) | undefined } = {}): Expiry {
  const given = readOnly(options, 'now')
  if (given !== undefined && typeof given !== 'function') throw refuseOption('now', 'is no function; expected one that returns seconds')
  const clock = readClock(given as (() => unknown) | undefined)
  const expiresAt = decodeUnverified(token).payload['exp']
  if (typeof expiresAt !== 'number' || !Number.isFinite(expiresAt)) {
    throw malformed('the claim exp is missing or not a number')
  }
  const now = clock()
  return Object.freeze({ expiresAt, secondsLeft: Math.max(0, expiresAt - now), expired: now >= expiresAt })
}

export const NOT_A_STRING = 'the token is not a string; expected a JWT in compact form'

/** Reads the JSON in a part of a token. The form of the part must have been checked: `atob` also accepts other forms. */
export function readPart(part: string): unknown {
  return JSON.parse(decodeUtf8(atob(part.replaceAll('-', '+').replaceAll('_', '/'))))
}

/** Reads the JSON object in a part of strict base64url. `name` is `header` or `payload`, for the message. */
function readObject(part: string, name: string): Record<string, unknown> {
  checkForm(part, name)
  let value: unknown
  try {
    value = readPart(part)
  } catch {
    throw malformed(`the token's ${name} is not JSON in base64url`)
  }
  if (!isObject(value)) throw malformed(`the token's ${name} is not a JSON object`)
  return value
}

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'

/** Refuses a text that is not strict base64url without padding (RFC 7515 §2, RFC 4648 §3.5). */
function checkForm(part: string, name: string): void {
  const spare = part.length % 4
  const unusedBits = spare === 2 ? 15 : spare === 3 ? 3 : 0
  const lastDigit = ALPHABET.indexOf(part.at(-1) ?? ' ')
  if (!/^[\w-]+$/.test(part) || spare === 1 || (lastDigit & unusedBits) !== 0) {
    throw malformed(`the token's ${name} is not base64url without padding`)
  }
}

function malformed(message: string): VerifyError {
  return refuse({ code: 'token_malformed', message })
}
