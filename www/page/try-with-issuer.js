import { createVerifier, decodeUnverified } from 'countersign'
import { createSession, SessionError } from 'countersign/session'
import { fetchJson } from './demo-issuer.js'
import { byId } from './dom.js'
import { createForge } from './forge.js'
import { showKeys } from './keys-view.js'
import { startLogin } from './login-form.js'
import { guarded, say } from './notice.js'
import { showSession } from './session-view.js'
import { wordsFor } from './session-words.js'

const KEYS_EVERY_MS = 5000

/** Only this page looks for new tokens, to show them. Others call `session.fetch`. */
const TOKEN_EVERY_MS = 1000

/** The states in which only a login helps. */
const ENDED = ['not_logged_in', 'session_ended']

/** Starts the page with the demo's issuer: a login, its session, and the issuer's keys. */
export async function startWithIssuer({ issuer, audience, username, password }) {
  const session = createSession({ issuer, mode: 'memory' })
  // The browser's clock may be wrong.
  const { now } = session
  const verifier = await createVerifier({ issuer, audience, jwks: `${issuer.replace(/\/$/, '')}/.well-known/jwks.json`, now })
  const forge = createForge(verifier, now, 'of the issuer')
  /** The session's access token, and the payloads of all that it had. */
  let own
  let history = []
  let keysShown

  async function refresh() {
    await session.refresh()
    await follow()
    say('A new pair of tokens. The old refresh token is used up.')
  }

  async function logOut() {
    await session.logout()
    say('Logged out: the session has ended, and its refresh token no longer works. An access token stays valid until it expires, which is why it lasts only minutes.')
  }

  /** Shows the session's access token if it is new. The first `verify` fetches the keys, and a later one does for a new key. */
  async function follow() {
    const token = await session.accessToken()
    if (token === own) return
    await verifier.verify(token).catch(() => {})
    // Meanwhile another call has shown it, or the session has ended.
    if (token === own || session.state.status !== 'active') return
    own = token
    const { payload } = decodeUnverified(token)
    history = payload.sid === history.at(-1)?.sid ? [...history, payload] : [payload]
    byId('content').dataset.session = 'in'
    showSession(byId('session'), history)
    forge.show(token, { issuedAt: payload.iat, expiresAt: payload.exp })
    void updateKeys()
  }

  function leave() {
    forge.clear()
    own = undefined
    history = []
    byId('content').dataset.session = 'out'
    byId('login').focus()
  }

  /** Returns the key set in use, or null if none is loaded. */
  function keysInUse() {
    try {
      return verifier.keys()
    } catch {
      return null
    }
  }

  async function updateKeys() {
    const before = JSON.stringify(keysInUse())
    const stale = await verifier.refresh().then(() => false, () => true)
    const states = await fetchJson('keys.json').catch(() => null)
    const signedBy = own && decodeUnverified(own).header.kid
    const known = { jwks: keysInUse(), states, signedBy, stale }
    // Without changes the page is not rebuilt, so that a text selection stays.
    if (JSON.stringify(known) === keysShown) return
    keysShown = JSON.stringify(known)
    showKeys(byId('keys'), known)
    // New keys can change the verdict.
    if (JSON.stringify(known.jwks) !== before) forge.judgeAgain()
  }

  const words = (error) => (error instanceof SessionError ? wordsFor(error, issuer) : error.message)

  byId('issuer').textContent = issuer
  byId('refresh').addEventListener('click', () => guarded(refresh, byId('refresh'), words))
  byId('logout').addEventListener('click', () => guarded(logOut, byId('logout'), words))

  byId('content').dataset.session = 'out'
  startLogin(session, { username, password }, words, async () => {
    await follow()
    byId('refresh').focus()
  })
  session.onChange(({ status, error }) => {
    if (own !== undefined && ENDED.includes(status)) leave()
    if (status === 'active') {
      say('')
      follow().catch(() => {})
    } else if (status !== 'not_logged_in') say(wordsFor(error, issuer), 'error')
  })
  setInterval(() => own && follow().catch(() => {}), TOKEN_EVERY_MS)
  await updateKeys()
  setInterval(() => {
    if (document.visibilityState === 'visible') void updateKeys()
  }, KEYS_EVERY_MS)
}
