/**
 * The session of a page: login, logout, and access tokens that are refreshed in time, once for all tabs.
 *
 * @module countersign/session
 */

import { browser } from './session-browser.js'
import { SessionError } from './session-error.js'
import { fetchWith } from './session-fetch.js'
import { SessionKeeper } from './session-keeper.js'
import { readSessionOptions } from './session-options.js'
import type { Session, SessionOptions, SessionState } from './session-types.js'

export { SessionError } from './session-error.js'
export type { SessionErrorCode } from './session-error.js'
export type { Session, SessionOptions, SessionState, SessionStatus } from './session-types.js'

/**
 * Makes the session of a page. It does nothing until one of its functions is called. The first call looks for a session in
 * the other tabs and, in the mode `cookie`, asks the issuer.
 *
 * @throws {@link SessionError} `options_invalid`
 */
export function createSession(options: SessionOptions): Session {
  const settings = readSessionOptions(options)
  const keeper = new SessionKeeper(settings, browser)
  return Object.freeze({
    get state() {
      return keeper.state
    },
    login: async (credentials: { username: string; password: string }) => {
      const { username, password } = credentials ?? {}
      if (typeof username !== 'string' || typeof password !== 'string') {
        throw new SessionError('login_failed', 'login needs { username, password }: expected two strings')
      }
      await keeper.login(username, password)
    },
    logout: () => keeper.logout(),
    accessToken: () => keeper.accessToken(),
    refresh: () => keeper.refresh(),
    fetch: fetchWith(keeper, settings, browser),
    onChange: (listener: (state: SessionState) => void) => keeper.onChange(listener),
    now: () => keeper.now(),
    close: () => keeper.close(),
  })
}
