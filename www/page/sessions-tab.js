// One of the tabs on the page Sessions. The page around it says which issuer to use; the tab tells it what happens.

import { decodeUnverified } from 'countersign'
import { createSession } from 'countersign/session'
import { byId } from './dom.js'
import { pretendMachine, watchChannels } from './sessions-machine.js'
import { wordsFor } from './session-words.js'
import { fetchThrough } from './small-issuer-port.js'
import { duration } from './time.js'

const REDRAW_MS = 250

const WORDS = {
  starting: 'starting',
  active: 'logged in',
  offline: 'offline',
  issuer_unavailable: 'no answer',
  session_ended: 'ended',
  not_logged_in: 'logged out',
}

if (parent === self) document.body.classList.add('alone')
else {
  let tab
  addEventListener('message', ({ data, origin, source, ports }) => {
    if (source !== parent || origin !== location.origin) return
    if (data.kind === 'start') tab ??= start(data, ports[0])
    else if (data.kind === 'machine') tab?.set(data.machine)
  })
  tell({ kind: 'ready' })
}

/**
 * Starts the session, and returns the machine that it runs on.
 *
 * @param {object} settings of the page around this one
 * @param {number} settings.number of this tab
 * @param {string} settings.issuer
 * @param {{ username: string, password: string }} settings.user
 * @param {import('./sessions-machine.js').Machine} settings.machine
 * @param {MessagePort | undefined} port leads to the small issuer, if there is no other
 */
function start({ number, issuer, user, machine }, port) {
  byId('number').textContent = number
  // A request of an offline machine does not leave it.
  const pretended = pretendMachine(watched(port === undefined ? fetch.bind(globalThis) : fetchThrough(port)))
  pretended.set(machine)
  watchChannels((event, { kind, turn }) => tell({ kind: event, message: kind, turn }))
  const session = createSession({ issuer, mode: 'memory', fetch: pretended.fetch })
  /** The state that is shown. */
  let shown
  /** The access token that is shown, with its payload. */
  let token, payload
  /** True if this tab itself got the next tokens of the issuer. */
  let fetched = false

  function watched(send) {
    let last = 0
    return async (url, init) => {
      const id = (last += 1)
      const path = url.slice(url.lastIndexOf('/'))
      tell({ kind: 'request', id, path })
      try {
        const response = await send(url, init)
        fetched = response.ok && path !== '/logout'
        tell({ kind: 'answer', id, status: response.status })
        return response
      } catch (error) {
        tell({ kind: 'answer', id, status: null })
        throw error
      }
    }
  }

  async function follow() {
    const { status } = session.state
    if (session.state !== shown) show(session.state)
    const next = status === 'active' ? await session.accessToken().catch(() => undefined) : undefined
    if (next === token) return
    token = next
    payload = next && decodeUnverified(next).payload
    byId('token').textContent = payload === undefined ? 'none' : `${payload.jti.slice(0, 8)}…`
    byId('source').textContent = payload === undefined ? '' : fetched ? 'from the issuer' : 'from another tab'
    fetched = false
    draw()
  }

  function show(state) {
    const { status, error } = (shown = state)
    const hadFocus = document.activeElement
    byId('status').textContent = WORDS[status]
    byId('status').className = `state ${status}`
    if (error !== undefined && status !== 'not_logged_in') byId('why').textContent = wordsFor(error, issuer)
    else if (status === 'active') byId('why').textContent = ''
    byId('login').disabled = status === 'active' || status === 'starting'
    byId('logout').disabled = status !== 'active'
    // A button that is disabled would lose the focus.
    if (hadFocus === byId('login') || hadFocus === byId('logout')) byId(status === 'active' ? 'logout' : 'login').focus()
  }

  function draw() {
    const left = payload === undefined ? 0 : Math.max(0, payload.exp - session.now())
    byId('left').value = payload === undefined ? 0 : left / (payload.exp - payload.iat)
    byId('left-text').textContent = payload === undefined ? '' : duration(left)
    tell({ kind: 'state', status: session.state.status, left })
  }

  /** Runs the action of a button. Its failures show as the state, but for those of a login. */
  async function run(action) {
    byId('why').textContent = ''
    await action().catch((error) => {
      byId('why').textContent = wordsFor(error, issuer)
    })
    await follow()
  }

  async function logIn() {
    // The demo's user may have added a second factor on the page Account.
    if ((await session.login(user)) !== undefined) byId('why').textContent = 'This user has a second factor: log in on the page “Try”, which shares its session with these tabs.'
  }

  byId('login').addEventListener('click', () => run(logIn))
  byId('logout').addEventListener('click', () => run(() => session.logout()))
  byId('reload').addEventListener('click', () => location.reload())
  session.onChange(() => void follow())
  setInterval(() => {
    void follow()
    draw()
  }, REDRAW_MS)
  return pretended
}

/** Tells the page around this one. No token is in it. */
function tell(message) {
  parent.postMessage(message, location.origin)
}
