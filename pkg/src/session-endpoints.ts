import type { Browser } from './session-browser.js'
import { SessionError } from './session-error.js'
import { LostAnswer, refusal, unavailable, type SessionRequests, type Tokens } from './session-requests.js'

/** The pause before the only repetition of a refresh without an answer. */
const REPEAT_MS = 1000

/** The refresh and the end of a session. Each method throws a {@link SessionError}. */
export class SessionEndpoints {
  readonly #requests: SessionRequests
  readonly #browser: Browser

  constructor(requests: SessionRequests, browser: Browser) {
    this.#requests = requests
    this.#browser = browser
  }

  /**
   * Refreshes the session. If no answer comes, asks once more: within its grace, the issuer answers the same again.
   *
   * @param maxAge - The most seconds since the last authentication; undefined for any number.
   * @throws {@link SessionError} `session_ended`, `insufficient_user_authentication` if the last authentication is older, and
   *   `not_logged_in` if the issuer got no cookie
   */
  async refresh(refreshToken: string | undefined, signal: AbortSignal, maxAge?: number): Promise<Tokens> {
    const attempt = () => this.#refreshOnce(refreshToken, signal, maxAge)
    return attempt().catch(async (error) => {
      if (!(error instanceof LostAnswer) || signal.aborted) throw error
      await new Promise<void>((resolve) => this.#browser.setTimeout(resolve, REPEAT_MS))
      return attempt()
    })
  }

  async #refreshOnce(refreshToken: string | undefined, signal: AbortSignal, maxAge: number | undefined): Promise<Tokens> {
    const body = new URLSearchParams({ grant_type: 'refresh_token', ...(refreshToken && { refresh_token: refreshToken }) })
    if (maxAge !== undefined) body.set('max_age', String(maxAge))
    // If the page is closed meanwhile, the browser still takes the cookie of the answer.
    const answer = await this.#requests.post('/token', { body, keepalive: true }, signal)
    const { status, body: { error } } = answer
    if (status === 200) return this.#requests.tokens(answer, false)
    if (status === 400 || status === 401) {
      if (error === 'invalid_grant') throw refusal('session_ended', 'the issuer ended the session: log in again', answer)
      if (error === 'insufficient_user_authentication') {
        throw refusal(error, `the last authentication is older than ${maxAge} s: let the user authenticate again`, answer)
      }
      if (error === 'invalid_request' && this.#requests.mode === 'cookie') {
        throw refusal('not_logged_in', 'nobody is logged in: the issuer got no session cookie', answer)
      }
    }
    throw unavailable(answer)
  }

  async logout(refreshToken: string | undefined): Promise<void> {
    const body = refreshToken === undefined ? null : new URLSearchParams({ refresh_token: refreshToken })
    const answer = await this.#requests.post('/logout', { body, keepalive: true })
    // 400: there is no cookie.
    if (answer.status !== 204 && answer.status !== 200 && answer.status !== 400) throw unavailable(answer)
  }
}
