import type { SessionError } from './session-error.js'

/** The options of `createSession`. */
export interface SessionOptions {
  /** The issuer's URL, such as `https://auth.example`. */
  issuer: string
  /**
   * The place of the refresh token. `cookie` (default): a cookie that no script can read, which outlives a reload; page and
   * issuer must belong to the same site. `memory`: the memory of the tabs, which is lost with the last tab.
   */
  mode?: 'cookie' | 'memory' | undefined
  /** More origins that `fetch` sends the token to, such as `https://api.example`. The page's own is always allowed. */
  origins?: readonly string[] | undefined
  /**
   * The time limit of a request to the issuer, body included: milliseconds, 1…60000. Default 10000. A third of the issuer's
   * grace for used refresh tokens is a good limit: then an answer that was lost is asked for again in time.
   */
  timeoutMs?: number | undefined
  /** The `fetch` to use. Default: the global one. */
  fetch?: typeof fetch | undefined
}

/**
 * The status of a session.
 *
 * | status | meaning |
 * |---|---|
 * | `starting` | it is not known yet if somebody is logged in |
 * | `active` | there is an access token, or a refresh of it is under way |
 * | `offline` | the token has expired, and the browser is offline |
 * | `issuer_unavailable` | the token has expired, and the issuer does not answer, or cannot |
 * | `session_ended` | the issuer ended the session: it was revoked, or it expired |
 * | `not_logged_in` | nobody has logged in, or somebody has logged out, maybe in another tab |
 */
export type SessionStatus = 'starting' | 'active' | 'offline' | 'issuer_unavailable' | 'session_ended' | 'not_logged_in'

/** The state of a session. */
export interface SessionState {
  /** Is somebody logged in, and if not, why? */
  readonly status: SessionStatus
  /** The scopes of the access token, separated by spaces; empty if the session is not active. */
  readonly scope: string
  /** Why there is no access token, if there is none. Its code is the status. */
  readonly error: SessionError | undefined
}

/** A session, made by `createSession`. Its functions need no `this`. */
export interface Session {
  /** The state at this moment: a frozen object, which is another one after each change. */
  readonly state: SessionState
  /**
   * Logs in, in all tabs. In the mode `memory`, this ends a session before. In the mode `cookie` it replaces the cookie: log out
   * first to end the session at the issuer too.
   *
   * @throws {@link SessionError} `login_failed`, `too_many_logins`, `access_denied`, `offline` or `issuer_unavailable`
   */
  login(credentials: { username: string; password: string }): Promise<void>
  /**
   * Logs out, in all tabs at once, and ends the session at the issuer.
   *
   * @throws {@link SessionError} `offline` or `issuer_unavailable`: the tabs have forgotten the session, but the issuer has
   *   not. Call it again later, or a reload of the page may find the session in the cookie.
   */
  logout(): Promise<void>
  /**
   * Returns an access token that is valid now. Waits for a refresh if there is none.
   *
   * @throws {@link SessionError} `not_logged_in`, `session_ended`, `offline` or `issuer_unavailable`
   */
  accessToken(): Promise<string>
  /**
   * Refreshes now, in all tabs, and returns the new access token: it has the scopes and claims that the user has by then.
   *
   * @throws {@link SessionError} The same codes. The access token before stays in use until it expires.
   */
  refresh(): Promise<string>
  /**
   * Like the global `fetch`, with the access token as `Authorization: Bearer`. Sends it only to the page's own origin and to
   * `origins`, and follows no redirect. After a response 401 whose challenge has `invalid_token`, refreshes the token and
   * sends the request once more, unless its body is a stream, or somebody has logged in meanwhile.
   *
   * @throws {@link SessionError} `origin_not_allowed`, `redirect_refused`, or an error of `accessToken`; otherwise as `fetch`
   */
  fetch: typeof fetch
  /**
   * Calls the listener with each new state, and after each login, also one by a page of another origin. Returns a function that
   * ends this.
   *
   * @param listener - Gets the new state.
   */
  onChange(listener: (state: SessionState) => void): () => void
  /**
   * Returns the issuer's time in seconds, measured at the last login or refresh: the browser's clock may be wrong. It fits the
   * option `now` of `createVerifier` and of `expiry`.
   */
  now(): number
  /** Stops refreshing and listening. The session remains logged in at the issuer and in other tabs. */
  close(): void
}
