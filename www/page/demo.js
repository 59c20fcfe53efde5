import { createVerifier, decodeUnverified } from 'countersign'
import { createSession, SessionError } from 'countersign/session'
import { createCountdown } from './countdown.js'
import { byId, el } from './dom.js'
import { showKeys } from './keys-view.js'
import { measure } from './measure.js'
import { showSession } from './session-view.js'
import { wordsFor } from './session-words.js'
import { TAMPERINGS } from './tamper.js'
import { showToken } from './token-view.js'
import { showTiming, showVerdict } from './verdict-view.js'

const KEYS_EVERY_MS = 5000

/** Only this page looks for new tokens, to show them. Others call `session.fetch`. */
const TOKEN_EVERY_MS = 1000

/** The states in which only a login helps. */
const ENDED = ['not_logged_in', 'session_ended']

const demo = await fetchJson('demo.json').catch(() => undefined)
if (demo === undefined) say('The demo’s server did not answer. Is it running? Start it with “cargo xtask start”, then load the page again.', 'error')
else await start(demo).catch((error) => say(`The page could not start: ${error.message}`, 'error'))

async function start({ issuer, audience, username, password }) {
  const session = createSession({ issuer, mode: 'memory' })
  // The browser's clock may be wrong.
  const { now } = session
  const verifier = await createVerifier({ issuer, audience, jwks: `${issuer.replace(/\/$/, '')}/.well-known/jwks.json`, now })
  const countdown = createCountdown(byId('countdown'), now)
  /** The session's access token, and the payloads of all that it had. */
  let own
  let history = []
  /** The token on the page: the session's own, or a forgery of it. */
  let shown
  let timing = new AbortController()
  let keysShown

  async function logIn() {
    await session.login({ username: byId('username').value, password: byId('password').value })
    await follow()
    byId('refresh').focus()
  }

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
    document.body.dataset.session = 'in'
    showSession(byId('session'), history)
    present(token)
    countdown.start({ issuedAt: payload.iat, expiresAt: payload.exp }, () => judge(shown))
    void updateKeys()
  }

  function leave() {
    countdown.stop()
    timing.abort()
    own = shown = undefined
    history = []
    document.body.dataset.session = 'out'
    byId('login').focus()
  }

  /** Shows a token: the session's own, or a forgery with its `TAMPERINGS` entry. */
  function present(token, tampering) {
    shown = token
    showToken({ encoded: byId('encoded'), decoded: byId('decoded') }, token, own)
    byId('forged').textContent = tampering?.done ?? 'This is the unchanged token of the issuer.'
    byId('restore').disabled = tampering === undefined
    for (const button of byId('tamper').querySelectorAll('button')) {
      button.setAttribute('aria-pressed', String(button.id === tampering?.id))
    }
    judge(token)
  }

  function judge(token) {
    showVerdict({ verdict: byId('verdict'), stages: byId('stages'), echo: byId('echo') }, refusalOf(token))
    void time(token)
  }

  function refusalOf(token) {
    try {
      verifier.verifySync(token)
      return undefined
    } catch (error) {
      return error
    }
  }

  async function time(token) {
    timing.abort()
    timing = new AbortController()
    const { signal } = timing
    showTiming(byId('timing'), null)
    const measured = await measure(() => verifier.verifySync(token), signal)
    if (!signal.aborted) showTiming(byId('timing'), measured)
  }

  async function tamper(tampering) {
    const parts = await tampering.apply(own.split('.'), verifier.keys())
    present(parts.join('.'), tampering)
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
    if (shown !== undefined && JSON.stringify(known.jwks) !== before) judge(shown)
  }

  byId('issuer').textContent = issuer
  byId('demo-username').textContent = byId('username').value = username
  byId('demo-password').textContent = byId('password').value = password
  byId('tamper').append(...tamperButtons((tampering) => guarded(() => tamper(tampering))))
  byId('login-form').addEventListener('submit', (event) => {
    event.preventDefault()
    void guarded(logIn, byId('login'))
  })
  byId('refresh').addEventListener('click', () => guarded(refresh, byId('refresh')))
  byId('logout').addEventListener('click', () => guarded(logOut, byId('logout')))
  byId('restore').addEventListener('click', () => {
    const pressed = byId('tamper').querySelector('[aria-pressed=true]')
    present(own)
    // The restore button is now disabled, which would lose the focus.
    pressed.focus()
  })
  byId('copy').addEventListener('click', () => guarded(() => copy(shown)))

  /** Runs a button's action, one at a time, and shows its error. */
  async function guarded(action, button) {
    if (button?.getAttribute('aria-busy') === 'true') return
    button?.setAttribute('aria-busy', 'true')
    say('')
    try {
      await action()
    } catch (error) {
      say(error instanceof SessionError ? wordsFor(error, issuer) : error.message, 'error')
    } finally {
      button?.removeAttribute('aria-busy')
    }
  }

  document.body.dataset.session = 'out'
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

function tamperButtons(onPress) {
  return ['payload', 'signature', 'header'].map((part) =>
    el(
      `div.tamper-group.${part}`,
      { role: 'group', 'aria-label': `Change the ${part}` },
      el('span.part-name', { 'aria-hidden': 'true' }, part),
      ...TAMPERINGS.filter((tampering) => tampering.part === part).map((tampering) => {
        const button = el('button', { type: 'button', id: tampering.id, 'aria-pressed': 'false' }, tampering.label)
        button.addEventListener('click', () => onPress(tampering))
        return button
      }),
    ),
  )
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text)
  } catch {
    throw new Error('The browser does not let the page copy. Select the text instead.')
  }
  say('Copied the token.')
}

function say(text, kind = '') {
  const notice = byId('notice')
  notice.className = `notice ${kind}`
  notice.textContent = text
}

async function fetchJson(path) {
  const response = await fetch(path)
  if (!response.ok) throw new Error(`${path}: ${response.status}`)
  return response.json()
}
