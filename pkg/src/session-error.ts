/**
 * Why a session has no access token, or refused a call. The strings are stable.
 *
 * | code | meaning |
 * |---|---|
 * | `offline` | the browser is offline; retryable |
 * | `issuer_unavailable` | the issuer did not answer, or could not; retryable |
 * | `session_ended` | the issuer ended the session: it was revoked, or it expired |
 * | `not_logged_in` | nobody has logged in, or somebody has logged out |
 * | `login_failed` | the issuer refused the user name, the password or the passkey |
 * | `second_factor_failed` | the issuer refused the code or the passkey of a second factor; another one can follow at once |
 * | `login_expired` | a second factor came too late, or after another login: begin with the password again |
 * | `insufficient_user_authentication` | the last authentication is older than `maxAge`: let the user authenticate again |
 * | `passkey_cancelled` | the browser gave no passkey: the user cancelled, it took too long, or there is none |
 * | `passkey_exists` | the device has a passkey for this account already |
 * | `passkey_unavailable` | this page, this browser or the issuer has no passkeys |
 * | `too_many_logins` | the issuer takes no login now; retryable after `retryAfter` seconds |
 * | `access_denied` | the issuer takes no request from this page: a page of another site, or of an origin that it does not list |
 * | `origin_not_allowed` | `fetch` was called with a URL that must not get the token |
 * | `redirect_refused` | the response to `fetch` was a redirect, which is not followed |
 * | `options_invalid` | an option is unknown, missing or wrong; see `reason` |
 */
export type SessionErrorCode =
  | 'offline'
  | 'issuer_unavailable'
  | 'session_ended'
  | 'not_logged_in'
  | 'login_failed'
  | 'second_factor_failed'
  | 'login_expired'
  | 'insufficient_user_authentication'
  | 'passkey_cancelled'
  | 'passkey_exists'
  | 'passkey_unavailable'
  | 'too_many_logins'
  | 'access_denied'
  | 'origin_not_allowed'
  | 'redirect_refused'
  | 'options_invalid'

const RETRYABLE: readonly SessionErrorCode[] = ['offline', 'issuer_unavailable', 'too_many_logins']

/** A refusal of a session. Its message says what was expected, and holds no token and no password. */
export class SessionError extends Error {
  /** The kind of refusal; stable. */
  readonly code: SessionErrorCode
  /** True if the same call can succeed later. */
  readonly retryable: boolean
  /** The seconds to wait, if the issuer named them. */
  readonly retryAfter: number | undefined
  /** The name of the refused option, for `options_invalid`. */
  readonly reason: string | undefined

  /** @internal */
  constructor(code: SessionErrorCode, message: string, { cause, retryAfter, reason }: SessionErrorDetails = {}) {
    super(message, cause === undefined ? undefined : { cause })
    this.name = 'SessionError'
    this.code = code
    this.retryable = RETRYABLE.includes(code)
    this.retryAfter = retryAfter
    this.reason = reason
  }
}

interface SessionErrorDetails {
  cause?: unknown
  retryAfter?: number | undefined
  reason?: string
}
