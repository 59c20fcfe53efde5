import { SessionError } from './session-error.js'

/** The options of `createSession` with their defaults. */
export interface SessionSettings {
  /** The issuer's URL, without a `/` at the end. */
  readonly issuer: string
  readonly mode: 'cookie' | 'memory'
  readonly origins: readonly string[]
  readonly timeoutMs: number
  readonly fetch: typeof fetch | undefined
}

const NAMES = ['issuer', 'mode', 'origins', 'timeoutMs', 'fetch']

/** @throws {@link SessionError} `options_invalid` */
export function readSessionOptions(options: unknown): SessionSettings {
  if (typeof options !== 'object' || options === null) throw refuse('options', 'an object')
  const given = options as Record<string, unknown>
  const unknown = Object.keys(given).find((name) => !NAMES.includes(name))
  if (unknown !== undefined) throw refuse(unknown, `one of ${NAMES.join(', ')}`, 'is not an option')
  const { issuer, mode = 'cookie', origins = [], timeoutMs = 10_000, fetch } = given
  if (typeof issuer !== 'string' || !isIssuer(issuer)) throw refuse('issuer', 'an https or http URL without user, query and fragment')
  if (mode !== 'cookie' && mode !== 'memory') throw refuse('mode', `'cookie' or 'memory'`)
  if (!Array.isArray(origins) || !origins.every(isOrigin)) throw refuse('origins', 'an array of origins such as https://api.example')
  if (typeof timeoutMs !== 'number' || !(timeoutMs >= 1 && timeoutMs <= 60_000)) throw refuse('timeoutMs', 'a number from 1 to 60000')
  if (fetch !== undefined && typeof fetch !== 'function') throw refuse('fetch', 'a function')
  return {
    issuer: issuer.replace(/\/$/, ''),
    mode,
    // The caller may change the array later.
    origins: [...origins] as string[],
    timeoutMs,
    fetch: fetch as typeof globalThis.fetch | undefined,
  }
}

/**
 * Returns the option `maxAge` of `accessToken`.
 *
 * @throws {@link SessionError} `options_invalid`
 */
export function readMaxAge({ maxAge }: { maxAge?: number | undefined } = {}): number | undefined {
  if (maxAge === undefined || (Number.isSafeInteger(maxAge) && maxAge > 0)) return maxAge
  const problem = 'the option maxAge of accessToken is wrong: expected a whole number of seconds, at least 1'
  throw new SessionError('options_invalid', problem, { reason: 'maxAge' })
}

function refuse(option: string, expected: string, problem = 'is missing or wrong'): SessionError {
  return new SessionError('options_invalid', `the option ${option} of createSession ${problem}: expected ${expected}`, { reason: option })
}

function isIssuer(text: string): boolean {
  const url = parse(text)
  return url !== undefined && url.username + url.password + url.search + url.hash === ''
}

function isOrigin(text: unknown): boolean {
  return parse(text)?.origin === text
}

/** A page over https needs no check of the scheme: its browser sends nothing over http, except to a loopback host. */
function parse(text: unknown): URL | undefined {
  try {
    const url = new URL(text as string)
    return /^https?:$/.test(url.protocol) ? url : undefined
  } catch {
    return undefined
  }
}
