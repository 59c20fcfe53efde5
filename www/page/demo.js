import { createVerifier, decodeUnverified } from 'countersign'
import { createCountdown } from './countdown.js'
import { byId, el } from './dom.js'
import { createIssuer } from './issuer.js'
import { showKeys } from './keys-view.js'
import { measure } from './measure.js'
import { showSession } from './session-view.js'
import { TAMPERINGS } from './tamper.js'
import { showToken } from './token-view.js'
import { showTiming, showVerdict } from './verdict-view.js'

const KEYS_EVERY_MS = 5000

const demo = await fetchJson('demo.json').catch(() => undefined)
if (demo === undefined) say('The demo’s server did not answer. Is it running? Start it with “cargo xtask start”, then load the page again.', 'error')
else await start(demo).catch((error) => say(`The page could not start: ${error.message}`, 'error'))

async function start({ issuer: issuerUrl, audience, username, password }) {
  const issuer = createIssuer(issuerUrl)
  const verifier = await createVerifier({
    issuer: issuerUrl,
    audience,
    jwks: `${issuerUrl.replace(/\/$/, '')}/.well-known/jwks.json`,
  })
  const countdown = createCountdown(byId('countdown'))
  /** The session's newest token response, and the payloads of all its access tokens. */
  let tokens
  let history = []
  /** The token on the page: the session's own, or a forgery of it. */
  let shown
  let timing = new AbortController()
  let keysShown

  async function logIn() {
    await enter(await issuer.login(byId('username').value, byId('password').value), [])
    document.body.dataset.session = 'in'
    byId('refresh').focus()
  }

  async function refresh() {
    await enter(await issuer.refresh(tokens.refresh_token), history)
    say('A new pair of tokens. The old refresh token is used up.')
  }

  async function logOut() {
    const { refresh_token: refreshToken } = tokens
    await issuer.logout(refreshToken)
    leave()
    say('Logged out: the session has ended, and its refresh token no longer works. An access token stays valid until it expires, which is why it lasts only minutes.')
  }

  function leave() {
    countdown.stop()
    timing.abort()
    tokens = shown = undefined
    history = []
    document.body.dataset.session = 'out'
    byId('login').focus()
  }

  /** Shows a token response. The first `verify` fetches the keys, and a later one does if a new key signed the token. */
  async function enter(response, before) {
    await verifier.verify(response.access_token).catch(() => {})
    tokens = response
    const { payload } = decodeUnverified(tokens.access_token)
    history = [...before, payload]
    showSession(byId('session'), history)
    present(tokens.access_token)
    countdown.start({ issuedAt: payload.iat, expiresAt: payload.exp }, () => judge(shown))
    void updateKeys()
  }

  /** Shows a token: the session's own, or a forgery with its `TAMPERINGS` entry. */
  function present(token, tampering) {
    shown = token
    showToken({ encoded: byId('encoded'), decoded: byId('decoded') }, token, tokens.access_token)
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
    const parts = await tampering.apply(tokens.access_token.split('.'), verifier.keys())
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
    const signedBy = tokens && decodeUnverified(tokens.access_token).header.kid
    const known = { jwks: keysInUse(), states, signedBy, stale }
    // Without changes the page is not rebuilt, so that a text selection stays.
    if (JSON.stringify(known) === keysShown) return
    keysShown = JSON.stringify(known)
    showKeys(byId('keys'), known)
    // New keys can change the verdict.
    if (shown !== undefined && JSON.stringify(known.jwks) !== before) judge(shown)
  }

  byId('issuer').textContent = issuerUrl
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
    present(tokens.access_token)
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
      if (error.sessionOver) leave()
      say(error.message, 'error')
    } finally {
      button?.removeAttribute('aria-busy')
    }
  }

  document.body.dataset.session = 'out'
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
