import { byId } from './dom.js'
import { guarded, say } from './notice.js'
import { finishLogin } from './second-factor.js'
import { orRefused, UNKNOWN_PASSKEY } from './session-words.js'

/** The states in which only a login helps. */
const ENDED = ['not_logged_in', 'session_ended']

/**
 * Wires the login of a page: `#login-form` with its second factors, `#login-passkey`, and passkeys that the browser suggests in the
 * field for the name.
 *
 * @param {import('countersign/session').Session} session
 * @param {{ username: string, password: string }} demo the user that is filled in
 * @param {(error: Error) => string} words what to say of an error
 * @param {() => unknown} loggedIn is called after a login by the form or its button
 */
export function startLogin(session, { username, password }, words, loggedIn) {
  const passkeyWords = orRefused(words, UNKNOWN_PASSKEY)
  byId('demo-username').textContent = byId('username').value = username
  byId('demo-password').textContent = byId('password').value = password

  async function logIn() {
    const step = await session.login({ username: byId('username').value, password: byId('password').value })
    if (await finishLogin(step, words)) await loggedIn()
  }

  async function logInWithPasskey() {
    try {
      await session.loginWithPasskey()
    } catch (error) {
      // The browser takes one request at a time, so this one has ended the suggestions.
      suggest()
      throw error
    }
    await loggedIn()
  }

  function suggest() {
    session.loginWithPasskey({ mediation: 'conditional' }).catch((error) => {
      if (error.code === 'login_failed') say(passkeyWords(error), 'error')
    })
  }

  byId('login-form').addEventListener('submit', (event) => {
    event.preventDefault()
    void guarded(logIn, byId('login'), words)
  })
  byId('login-passkey').addEventListener('click', () => guarded(logInWithPasskey, byId('login-passkey'), passkeyWords))
  session.onChange(({ status }) => ENDED.includes(status) && suggest())
}
