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

/** The options of a login with a passkey. */
export interface PasskeyOptions {
  /**
   * `conditional`: the browser suggests passkeys in a form field with `autocomplete="username webauthn"`, until the user takes one
   * or logs in otherwise. Without it, the browser asks at once.
   */
  mediation?: 'conditional' | undefined
  /** Ends the request. */
  signal?: AbortSignal | undefined
}

/**
 * The second step of a login. Its functions need no `this`, and resolve when the user is logged in.
 *
 * After `second_factor_failed` or `passkey_cancelled`, call one again. After `login_expired`, begin with the password again.
 */
export interface SecondFactor {
  /**
   * The methods of this user: `totp`, `recovery_code` and `passkey`, or `totp_enrolment` alone if the user has none and needs one.
   * Later issuers may have more.
   */
  readonly methods: readonly (SecondFactorMethod | (string & {}))[]
  /**
   * Goes on with a code of the user's app.
   *
   * @throws {@link SessionError} `second_factor_failed`, `login_expired`, or as `login`
   */
  code(code: string): Promise<void>
  /** Goes on with a recovery code, which works once. */
  recoveryCode(code: string): Promise<void>
  /** Goes on with a passkey. */
  passkey(options?: { signal?: AbortSignal | undefined }): Promise<void>
  /** Gives the user a first TOTP, for the method `totp_enrolment`. */
  enrol(): Promise<Enrolment>
}

/** The methods of our issuer. */
export type SecondFactorMethod = 'totp' | 'recovery_code' | 'passkey' | 'totp_enrolment'

/** A TOTP that is in force when a code has confirmed it. */
export interface Enrolment {
  /** The secret in base32, for people who cannot scan. */
  readonly secret: string
  /** The same as `otpauth://` URI, for a QR code. */
  readonly uri: string
  /** Confirms it with a code, logs in, and returns the recovery codes: they are shown only this once. */
  confirm(code: string): Promise<readonly string[]>
}

/** A session, made by `createSession`. Its functions need no `this`. */
export interface Session {
  /** The state at this moment: a frozen object, which is another one after each change. */
  readonly state: SessionState
  /**
   * Logs in, in all tabs. In the mode `memory`, this ends a session before. In the mode `cookie` it replaces the cookie: log out
   * first to end the session at the issuer too.
   *
   * @returns Undefined if the user is logged in, or the step that is left.
   * @throws {@link SessionError} `login_failed`, `too_many_logins`, `access_denied`, `offline` or `issuer_unavailable`
   */
  login(credentials: { username: string; password: string }): Promise<SecondFactor | undefined>
  /**
   * Logs in with a passkey alone. A page has one request for a passkey at a time: a second one ends the first.
   *
   * @throws {@link SessionError} `passkey_cancelled`, `passkey_unavailable`, or as `login`; if `signal` is aborted, its reason
   */
  loginWithPasskey(options?: PasskeyOptions): Promise<void>
  /**
   * Lets the user of this session prove the password again, which `accessToken({ maxAge })` may ask for.
   *
   * @returns Undefined if the user has done so, or the step that is left.
   * @throws {@link SessionError} as `login`, `login_expired` if another login came meanwhile, or an error of `accessToken`
   */
  again(proof: { password: string }): Promise<SecondFactor | undefined>
  /** Does the same with a passkey. */
  againWithPasskey(options?: { signal?: AbortSignal | undefined }): Promise<void>
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
   * With `maxAge`, the user has authenticated at most so many seconds ago, and the token says so in `auth_time` (RFC 9470).
   *
   * @throws {@link SessionError} `not_logged_in`, `session_ended`, `offline` or `issuer_unavailable`; with `maxAge` also
   *   `insufficient_user_authentication`: call `again` first
   */
  accessToken(options?: { maxAge?: number | undefined }): Promise<string>
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
