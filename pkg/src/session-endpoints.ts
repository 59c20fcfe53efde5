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
interface Answer {
  readonly status: number
  /** The members of its JSON object; none if it is something else. */
  readonly body: Readonly<Record<string, unknown>>
  readonly headers: Headers
  readonly sent: Moment
}

/** The pause before the only repetition of a refresh without an answer. */
const REPEAT_MS = 1000

/** The longest text of an issuer in a message. */
const MAX_DESCRIPTION = 300

/** A request that may have reached the issuer, although no answer came back. */
class LostAnswer extends SessionError {}

/** The requests of a session to its issuer. Each method throws a {@link SessionError}. */
export class SessionEndpoints {
  readonly #settings: SessionSettings
  readonly #browser: Browser
  readonly #clock: SessionClock

  constructor(settings: SessionSettings, browser: Browser, clock: SessionClock) {
    this.#settings = settings
    this.#browser = browser
    this.#clock = clock
  }

  async login(username: string, password: string): Promise<Tokens> {
    const session = this.#settings.mode === 'cookie' ? 'cookie' : 'token'
    const body = JSON.stringify({ username, password, session })
    const answer = await this.#post('/login', { body, headers: { 'Content-Type': 'application/json' } })
    const { status } = answer
    if (status === 200) return this.#tokens(answer, true)
    if (status === 429) throw refusal('too_many_logins', 'there were too many logins: try again later', answer)
    if (status === 403) throw refusal('access_denied', 'the issuer takes no login from this page', answer)
    if (status >= 400 && status < 500 && answer.body['error'] === 'invalid_grant') {
      throw refusal('login_failed', 'the user name or the password is wrong', answer)
    }
    throw unavailable(answer)
  }

  /**
   * Refreshes the session. If no answer comes, asks once more: within its grace, the issuer answers the same again.
   *
   * @throws {@link SessionError} `session_ended`, and `not_logged_in` if the issuer got no cookie
   */
  async refresh(refreshToken: string | undefined, signal: AbortSignal): Promise<Tokens> {
    const attempt = () => this.#refreshOnce(refreshToken, signal)
    return attempt().catch(async (error) => {
      if (!(error instanceof LostAnswer) || signal.aborted) throw error
      await new Promise<void>((resolve) => this.#browser.setTimeout(resolve, REPEAT_MS))
      return attempt()
    })
  }

  async #refreshOnce(refreshToken: string | undefined, signal: AbortSignal): Promise<Tokens> {
    const body = new URLSearchParams({ grant_type: 'refresh_token', ...(refreshToken && { refresh_token: refreshToken }) })
    // If the page is closed meanwhile, the browser still takes the cookie of the answer.
    const answer = await this.#post('/token', { body, keepalive: true }, signal)
    const { status, body: { error } } = answer
    if (status === 200) return this.#tokens(answer, false)
    if (status === 400 || status === 401) {
      if (error === 'invalid_grant') throw refusal('session_ended', 'the issuer ended the session: log in again', answer)
      if (error === 'invalid_request' && this.#settings.mode === 'cookie') {
        throw refusal('not_logged_in', 'nobody is logged in: the issuer got no session cookie', answer)
      }
    }
    throw unavailable(answer)
  }

  async logout(refreshToken: string | undefined): Promise<void> {
    const body = refreshToken === undefined ? null : new URLSearchParams({ refresh_token: refreshToken })
    const answer = await this.#post('/logout', { body, keepalive: true })
    // 400: there is no cookie.
    if (answer.status !== 204 && answer.status !== 200 && answer.status !== 400) throw unavailable(answer)
  }

  /** Sends a request. Its time limit includes the body of the answer. */
  async #post(path: string, init: RequestInit, signal?: AbortSignal): Promise<Answer> {
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
  #tokens(answer: Answer, isLogin: boolean): Tokens {
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
function claimsOf(token: string): Readonly<Record<string, unknown>> {
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

function refusal(code: SessionError['code'], problem: string, { status, body, headers }: Answer): SessionError {
  const words = [body['error'], body['error_description']].filter((word) => typeof word === 'string')
  const answer = [status, words.join(': ')].join(' ').trim().replace(/\p{Cc}+/gu, ' ').slice(0, MAX_DESCRIPTION)
  const seconds = Number(headers.get('retry-after') ?? NaN)
  return new SessionError(code, `${problem} (the issuer answered ${answer})`, { retryAfter: seconds >= 0 ? seconds : undefined })
}

function unavailable(answer: Answer): SessionError {
  return refusal('issuer_unavailable', 'the issuer could not answer', answer)
}
