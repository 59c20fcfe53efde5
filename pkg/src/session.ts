/**
 * The session of a page: login, logout, and access tokens that are refreshed in time, once for all tabs.
 *
 * @module countersign/session
 */

import { browser } from './session-browser.js'
import { SessionClock } from './session-clock.js'
import { SessionEndpoints } from './session-endpoints.js'
import { SessionError } from './session-error.js'
import { fetchWith } from './session-fetch.js'
import { SessionKeeper } from './session-keeper.js'
import { SessionLoginEndpoints } from './session-login-endpoints.js'
import { SessionLogins } from './session-logins.js'
import { readMaxAge, readSessionOptions } from './session-options.js'
import { SessionRequests } from './session-requests.js'
import type { PasskeyOptions, Session, SessionOptions, SessionState } from './session-types.js'

export { SessionError } from './session-error.js'
export type { SessionErrorCode } from './session-error.js'
export { createPasskey } from './session-passkeys.js'
export type {
  Enrolment, PasskeyOptions, SecondFactor, SecondFactorMethod, Session, SessionOptions, SessionState, SessionStatus,
} from './session-types.js'

/**
 * Makes the session of a page. It does nothing until one of its functions is called. The first call looks for a session in
 * the other tabs and, in the mode `cookie`, asks the issuer.
 *
 * @throws {@link SessionError} `options_invalid`
 */
export function createSession(options: SessionOptions): Session {
  const settings = readSessionOptions(options)
  const clock = new SessionClock(browser)
  const requests = new SessionRequests(settings, browser, clock)
  const keeper = new SessionKeeper(settings, browser, clock, new SessionEndpoints(requests, browser))
  const logins = new SessionLogins(keeper, new SessionLoginEndpoints(requests), browser)
  return Object.freeze({
    get state() {
      return keeper.state
    },
    login: async (credentials: { username: string; password: string }) => {
      const { username, password } = credentials ?? {}
      if (typeof username !== 'string' || typeof password !== 'string') {
        throw new SessionError('login_failed', 'login needs { username, password }: expected two strings')
      }
      return logins.login(username, password)
    },
    loginWithPasskey: (options?: PasskeyOptions) => logins.loginWithPasskey(options),
    again: async (proof: { password: string }) => {
      const { password } = proof ?? {}
      if (typeof password !== 'string') throw new SessionError('login_failed', 'again needs { password }: expected a string')
      return logins.again(password)
    },
    againWithPasskey: (options?: PasskeyOptions) => logins.againWithPasskey(options),
    logout: () => keeper.logout(),
    accessToken: async (options?: { maxAge?: number | undefined }) => keeper.accessToken(readMaxAge(options)),
    refresh: () => keeper.refresh(),
    fetch: fetchWith(keeper, settings, browser),
    onChange: (listener: (state: SessionState) => void) => keeper.onChange(listener),
    now: () => keeper.now(),
    close: () => {
      logins.close()
      keeper.close()
    },
  })
}
