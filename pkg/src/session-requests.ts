import type { Browser } from './session-browser.js'
import type { Moment, SessionClock } from './session-clock.js'
import { SessionError } from './session-error.js'
import type { SessionSettings } from './session-options.js'

/** The tokens of a login or a refresh. */
export interface Tokens {
  readonly accessToken: string
  /** Undefined if it is in the cookie, or if the issuer keeps the one before. */
  readonly refreshToken: string | undefined
  readonly scope: string
  /** The milliseconds that the access token lives. */
  readonly lifetime: number
  /** The latest moment from which it certainly lives so long: the request was sent. */
  readonly since: Moment
}

/** An answer of the issuer. */
export interface Answer {
  readonly status: number
  /** The members of its JSON object; none if it is something else. */
  readonly body: Readonly<Record<string, unknown>>
  readonly headers: Headers
  readonly sent: Moment
}

/** The longest text of an issuer in a message. */
const MAX_DESCRIPTION = 300

/** A request that may have reached the issuer, although no answer came back. */
export class LostAnswer extends SessionError {}

/** Sends the requests of a session to its issuer, and reads the answers. Each method throws a {@link SessionError}. */
export class SessionRequests {
  readonly #settings: SessionSettings
  readonly #browser: Browser
  readonly #clock: SessionClock

  constructor(settings: SessionSettings, browser: Browser, clock: SessionClock) {
    this.#settings = settings
    this.#browser = browser
    this.#clock = clock
  }

  get mode(): SessionSettings['mode'] {
    return this.#settings.mode
  }

  postJson(path: string, members: object): Promise<Answer> {
    return this.post(path, { body: JSON.stringify(members), headers: { 'Content-Type': 'application/json' } })
  }

  /** Sends a request. Its time limit includes the body of the answer. */
  async post(path: string, init: RequestInit, signal?: AbortSignal): Promise<Answer> {
    const { issuer, mode, fetch = globalThis.fetch, timeoutMs } = this.#settings
    const sent = this.#clock.moment()
    const abort = new AbortController()
    const timer = this.#browser.setTimeout(() => abort.abort(), timeoutMs)
    const end = () => abort.abort()
    signal?.addEventListener('abort', end)
    if (signal?.aborted) end()
    try {
      const credentials = mode === 'cookie' ? 'include' : 'omit'
      const request = { ...init, method: 'POST', credentials, redirect: 'error', cache: 'no-store', signal: abort.signal } as const
      const response = await fetch(issuer + path, request)
      const body = readObject(await response.text())
      return { status: response.status, body, headers: response.headers, sent }
    } catch (cause) {
      if (!this.#browser.isOnline()) throw new SessionError('offline', 'the browser is offline: connect it to the network', { cause })
      const reason = abort.signal.aborted && !signal?.aborted ? `did not answer within ${timeoutMs} ms` : 'could not be reached'
      const advice = 'is it running, does it list the origin of this page (CORS), does the Content-Security-Policy have it in connect-src?'
      throw new LostAnswer('issuer_unavailable', `the issuer at ${issuer} ${reason}: ${advice}`, { cause })
    } finally {
      this.#browser.clearTimeout(timer)
      signal?.removeEventListener('abort', end)
    }
  }

  /** Reads the tokens (RFC 6749 §5.1), and measures the issuer's clock. */
  tokens(answer: Answer, isLogin: boolean): Tokens {
    const { access_token: accessToken, token_type: type, expires_in: seconds, refresh_token: refreshToken, scope } = answer.body
    const needsRefreshToken = isLogin && this.#settings.mode === 'memory'
    if (
      !isToken(accessToken) ||
      String(type).toLowerCase() !== 'bearer' ||
      // JSON may have 1e999, with which a refresh would always be due.
      !(typeof seconds === 'number' && seconds > 0 && seconds < Infinity) ||
      !(isToken(refreshToken) || (refreshToken === undefined && !needsRefreshToken))
    ) {
      const expected = `access_token, token_type "Bearer", expires_in${needsRefreshToken ? ' and refresh_token' : ''}`
      throw new SessionError('issuer_unavailable', `the issuer's answer has no tokens: expected JSON with ${expected} (RFC 6749 section 5.1)`)
    }
    // The header is hidden from pages of another origin, unless the issuer exposes it. It and the claim may be a second old.
    const second = Math.max((Date.parse(answer.headers.get('date') ?? '') || 0) / 1000, expiryOf(accessToken) - seconds)
    if (second > 0) this.#clock.measure(second, answer.sent)
    return {
      accessToken,
      refreshToken: this.#settings.mode === 'memory' ? refreshToken : undefined,
      scope: typeof scope === 'string' ? scope : '',
      lifetime: seconds * 1000,
      since: answer.sent,
    }
  }
}

/** RFC 6750 §2.1: a token of these characters can neither end nor split a header. */
function isToken(value: unknown): value is string {
  return typeof value === 'string' && /^[\w\-.~+/]+=*$/.test(value)
}

/** Returns false if the access tokens are JWTs that name two sessions, or two users. */
export function isSameSession({ accessToken: a }: Tokens, { accessToken: b }: Tokens): boolean {
  const [one, other] = [claimsOf(a), claimsOf(b)]
  return one['sid'] === other['sid'] && one['sub'] === other['sub']
}

/** Returns the claim `exp` of a JWT, unverified, or 0. */
function expiryOf(token: string): number {
  const { exp } = claimsOf(token)
  return typeof exp === 'number' ? exp : 0
}

/** Returns the claims of a JWT, unverified; none if it is something else. */
export function claimsOf(token: string): Readonly<Record<string, unknown>> {
  try {
    return readObject(atob((token.split('.')[1] ?? '').replaceAll('-', '+').replaceAll('_', '/')))
  } catch {
    return {}
  }
}

function readObject(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
  } catch {
    return {}
  }
}

export function refusal(code: SessionError['code'], problem: string, { status, body, headers }: Answer): SessionError {
  const words = [body['error'], body['error_description']].filter((word) => typeof word === 'string')
  const answer = [status, words.join(': ')].join(' ').trim().replace(/\p{Cc}+/gu, ' ').slice(0, MAX_DESCRIPTION)
  const seconds = Number(headers.get('retry-after') ?? NaN)
  return new SessionError(code, `${problem} (the issuer answered ${answer})`, { retryAfter: seconds >= 0 ? seconds : undefined })
}

export function unavailable(answer: Answer): SessionError {
  return refusal('issuer_unavailable', 'the issuer could not answer', answer)
}
