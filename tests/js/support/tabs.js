// Browsers with several tabs and an issuer, for session.test.js: clocks, timers, locks and messages are the test's.
import { setImmediate as nextTurn } from 'node:timers/promises'
import { fetchWith } from '../../../pkg/dist/session-fetch.js'
import { SessionClock } from '../../../pkg/dist/session-clock.js'
import { SessionEndpoints } from '../../../pkg/dist/session-endpoints.js'
import { SessionKeeper } from '../../../pkg/dist/session-keeper.js'
import { SessionLoginEndpoints } from '../../../pkg/dist/session-login-endpoints.js'
import { SessionLogins } from '../../../pkg/dist/session-logins.js'
import { readSessionOptions } from '../../../pkg/dist/session-options.js'
import { SessionRequests } from '../../../pkg/dist/session-requests.js'

export const ISSUER = 'https://auth.example'
export const PAGE = 'https://app.example'

/** The lifetime of an access token, in seconds. */
export const LIFETIME = 900

/** The lifetime of a challenge for passkeys, in seconds. */
export const CHALLENGE_LIFETIME = 300

/** A machine with a browser. */
export class Machine {
  /** Differs from the issuer's clock by the error of the system's clock. */
  wallTime = Date.UTC(2026, 10, 29)
  steadyTime = 5000
  isOnline = true
  tabs = []
  channels = new Set()
  /** All messages between the tabs. */
  messages = []
  timers = []
  holder
  queue = []

  /** `locks`: `granted`, `missing`, or `refused` as in pages without an origin. */
  constructor({ clockError = 0, locks = 'granted', ...issuer } = {}) {
    this.locks = locks
    this.issuer = new Issuer(this, clockError, issuer)
  }

  /** Opens a tab with a session. */
  open(options = {}) {
    const tab = new Tab(this, options)
    this.tabs.push(tab)
    return tab
  }

  /** Lets time pass: timers fire, and what they begin goes on. */
  async pass(seconds) {
    await this.settle()
    const end = this.steadyTime + seconds * 1000
    for (;;) {
      const next = this.timers.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0]
      const until = next?.at ?? end
      this.wallTime += Math.max(until - this.steadyTime, 0)
      this.steadyTime = Math.max(until, this.steadyTime)
      if (next === undefined) break
      this.timers.splice(this.timers.indexOf(next), 1)
      next.callback()
      await this.settle()
    }
  }

  /** Sleeps: the steady clock stops, and no timer fires. */
  async sleep(seconds) {
    await this.settle()
    this.wallTime += seconds * 1000
  }

  /** Lets everything go on that needs no time. */
  async settle() {
    for (let turn = 0; turn < 20; turn++) await nextTurn()
  }

  lockManager(tab) {
    return {
      request: (name, { signal, steal = false }, work) => new Promise((resolve, reject) => {
        if (this.locks === 'refused') return reject(new DOMException('', 'SecurityError'))
        const entry = { tab, work, resolve, reject }
        if (signal?.aborted) return reject(new DOMException('', 'AbortError'))
        signal?.addEventListener('abort', () => {
          if (!this.queue.includes(entry)) return
          this.queue.splice(this.queue.indexOf(entry), 1)
          reject(new DOMException('', 'AbortError'))
        })
        if (steal) {
          this.holder?.reject(new DOMException('', 'AbortError'))
          this.holder = undefined
          this.queue.unshift(entry)
        } else this.queue.push(entry)
        void this.grant()
      }),
    }
  }

  async grant() {
    if (this.holder !== undefined || this.queue.length === 0) return
    const entry = this.holder = this.queue.shift()
    await nextTurn()
    await entry.work().then(entry.resolve, entry.reject)
    this.release(entry)
  }

  release(entry) {
    if (this.holder !== entry) return
    this.holder = undefined
    void this.grant()
  }
}

class Tab {
  isClosed = false
  isHidden = false
  states = []
  /** What its listeners threw. */
  faults = []
  handlers = new Map()
  /** Passkeys: what `navigator.credentials` does. Undefined without WebAuthn. */
  credentials = { get: () => Promise.resolve(passkey()) }
  suggestsPasskeys = true

  constructor(machine, options) {
    this.machine = machine
    const fetch = (url, init) => (this.isClosed ? new Promise(() => {}) : machine.issuer.fetch(url, init))
    const settings = readSessionOptions({ issuer: ISSUER, fetch, ...options })
    const browser = this.browser()
    const clock = new SessionClock(browser)
    const requests = new SessionRequests(settings, browser, clock)
    this.session = new SessionKeeper(settings, browser, clock, new SessionEndpoints(requests, browser))
    this.logins = new SessionLogins(this.session, new SessionLoginEndpoints(requests), browser)
    this.fetch = fetchWith(this.session, settings, browser)
    this.stop = this.session.onChange((state) => this.states.push(state.status))
  }

  get status() {
    return this.session.state.status
  }

  logIn() {
    return this.logins.login('alice', 'secret')
  }

  /** Closes the tab, in the middle of what it does. */
  close() {
    const { machine } = this
    this.isClosed = true
    machine.tabs.splice(machine.tabs.indexOf(this), 1)
    machine.timers = machine.timers.filter(({ tab }) => tab !== this)
    machine.queue = machine.queue.filter(({ tab }) => tab !== this)
    for (const channel of machine.channels) if (channel.tab === this) machine.channels.delete(channel)
    if (machine.holder?.tab === this) machine.release(machine.holder)
  }

  /** Stops the tab: its messages wait, and its timers are lost. */
  freeze() {
    this.frozen = []
    this.machine.timers = this.machine.timers.filter(({ tab }) => tab !== this)
  }

  async thaw() {
    const messages = this.frozen
    this.frozen = undefined
    for (const deliver of messages) deliver()
    this.emit('resume')
  }

  emit(type, members = {}) {
    for (const handler of this.handlers.get(type) ?? []) handler({ type, ...members })
  }

  browser() {
    const { machine } = this
    const tab = this
    return {
      wallTime: () => machine.wallTime,
      steadyTime: () => machine.steadyTime,
      setTimeout: (callback, milliseconds) => {
        const at = machine.steadyTime + milliseconds
        // Browsers let the timers of hidden tabs wait for the next minute.
        const timer = { at: this.isHidden ? Math.ceil(at / 60_000) * 60_000 : at, callback, tab: this }
        if (!this.isClosed) machine.timers.push(timer)
        return timer
      },
      clearTimeout: (timer) => {
        machine.timers = machine.timers.filter((other) => other !== timer)
      },
      reportError: (error) => this.faults.push(error.message),
      random: Math.random,
      isOnline: () => machine.isOnline,
      locks: machine.locks === 'missing' ? undefined : machine.lockManager(this),
      openChannel: () => this.openChannel(),
      get credentials() {
        return tab.credentials
      },
      suggestsPasskeys: async () => this.suggestsPasskeys,
      origin: () => PAGE,
      base: () => `${PAGE}/folder/page`,
      listen: (names, callback) => {
        for (const name of names) this.handlers.set(name, [...(this.handlers.get(name) ?? []), callback])
        return () => names.forEach((name) => this.handlers.set(name, this.handlers.get(name).filter((other) => other !== callback)))
      },
    }
  }

  openChannel() {
    const { channels } = this.machine
    const channel = { tab: this, close: () => channels.delete(channel) }
    channel.postMessage = (data) => {
      this.machine.messages.push(data)
      for (const other of channels) {
        if (other === channel) continue
        const deliver = () => channels.has(other) && other.onmessage({ data: structuredClone(data) })
        if (other.tab.frozen === undefined) setImmediate(deliver)
        else other.tab.frozen.push(deliver)
      }
    }
    channels.add(channel)
    return channel
  }
}

/** An issuer as ours: it has one session, whose refresh tokens are its numbers. A login begins the next one. */
class Issuer {
  requests = []
  /** Replaces the next answers. */
  faults = []
  /** The number of the current refresh token; 0 without a session. */
  current = 0
  /** The first number of the session, which is its name. */
  first = 0
  cookie = ''
  rotatedAt = 0
  authenticatedAt = 0
  /** The second factors of the user. */
  methods = []
  /** A login that waits for a second factor: its token, and if it authenticates a session again. */
  pending
  /** The number of tokens for second factors, and of challenges. */
  steps = 0

  constructor(machine, clockError, { exposesDate = false, lifetime = LIFETIME } = {}) {
    this.machine = machine
    this.exposesDate = exposesDate
    this.lifetime = lifetime
    // Its clock goes on while the machine sleeps, and is set by nobody.
    this.clockError = clockError
  }

  get now() {
    return Math.floor(this.machine.wallTime / 1000 - this.clockError)
  }

  count(path) {
    return this.requests.filter((request) => request.path === path).length
  }

  async fetch(url, init) {
    const path = url.slice(ISSUER.length)
    const request = { path, init, body: init.body === null || init.body === undefined ? '' : String(init.body) }
    this.requests.push(request)
    const fault = this.faults.shift()
    const failure = new Promise((_, reject) => init.signal.addEventListener('abort', () => reject(init.signal.reason)))
    if (!this.machine.isOnline) throw new TypeError('offline')
    return Promise.race([fault === undefined ? this.answer(request) : fault(() => this.answer(request)), failure])
  }

  answer({ path, body, init }) {
    const usesCookie = init.credentials === 'include'
    if (path === '/login') {
      if (JSON.parse(body).password !== 'secret') return refusal(401, 'invalid_grant', 'the user name or the password is wrong')
      return this.methods.length === 0 ? this.begin(usesCookie) : this.pend({ isAgain: false })
    }
    if (path.startsWith('/login/')) return this.step(path.slice(7), JSON.parse(body), usesCookie)
    const token = new URLSearchParams(body).get('refresh_token') ?? (usesCookie ? this.cookie : '')
    if (path === '/logout') {
      if (Number(token) >= this.first) this.current = 0
      if (usesCookie) this.cookie = ''
      return new Response(null, { status: 204 })
    }
    if (token === '') return refusal(400, 'invalid_request', 'refresh_token is missing')
    const isCurrent = token === String(this.current)
    const isRepeat = token === String(this.current - 1) && this.now <= this.rotatedAt + 30
    const maxAge = new URLSearchParams(body).get('max_age')
    if (this.current !== 0 && maxAge !== null && this.now - this.authenticatedAt > Number(maxAge)) {
      return refusal(401, 'insufficient_user_authentication', 'the authentication is too old')
    }
    if (this.current === 0 || !(isCurrent || isRepeat)) {
      this.current = 0
      return refusal(400, 'invalid_grant', 'the refresh token was replaced')
    }
    if (isCurrent) {
      this.current++
      this.rotatedAt = this.now
    }
    return this.tokens(this.current, usesCookie, maxAge === null ? {} : { auth_time: this.authenticatedAt })
  }

  /** Begins a session. */
  begin(usesCookie, members) {
    this.authenticatedAt = this.now
    this.first = ++this.current
    return this.tokens(this.current, usesCookie, {}, members)
  }

  pend(pending) {
    this.pending = { ...pending, token: `step-${++this.steps}` }
    return refusal(401, 'mfa_required', 'a second factor is needed', {}, { mfa_token: this.pending.token, expires_in: 300, methods: this.methods })
  }

  /** Answers a request of a login in steps. */
  step(name, { mfa_token: token, refresh_token: refreshToken, ...proof }, usesCookie) {
    const isKnown = token === this.pending?.token
    if (token !== undefined && !isKnown) return refusal(401, 'invalid_grant', 'the mfa_token is unknown, used or expired')
    if (name === 'passkey/options') {
      this.challenge = `challenge-${++this.steps}`
      const allowed = token === undefined ? {} : { allowCredentials: [{ id: 'AQI', type: 'public-key' }] }
      const options = { challenge: 'AAEC-_8', rpId: 'app.example', ...allowed }
      return Response.json({ challenge_token: this.challenge, expires_in: CHALLENGE_LIFETIME, public_key: options })
    }
    const isProven = proof.challenge_token === undefined
      ? proof.code === '123456' || proof.recovery_code === 'abcde-12345' || proof.password === 'secret'
      : proof.challenge_token === this.challenge && proof.credential.response.signature === 'AwQ'
    if (name === 'passkey') return isProven ? this.begin(usesCookie) : refusal(401, 'invalid_grant', 'the passkey is wrong')
    if (name === 'totp') {
      this.pending.token = `step-${++this.steps}`
      return Response.json({ secret: 'MFRGGZDF', uri: 'otpauth://totp/x', mfa_token: this.pending.token, expires_in: 300 })
    }
    if (name === 'second-factor') {
      const { isAgain } = this.pending
      const refused = isProven ? undefined : this.pend({ isAgain })
      if (refused !== undefined) return refusal(401, 'invalid_grant', 'the code is wrong', {}, { mfa_token: this.pending.token, methods: this.methods })
      this.pending = undefined
      if (isAgain) return this.authenticated()
      return this.methods.includes('totp_enrolment') ? this.begin(usesCookie, { recovery_codes: ['one', 'two'] }) : this.begin(usesCookie)
    }
    // `again`
    if ((refreshToken ?? this.cookie) !== String(this.current)) return refusal(400, 'invalid_grant', 'the refresh token was replaced')
    if (!isProven) return refusal(401, 'invalid_grant', 'the password is wrong')
    return this.methods.length === 0 || proof.password === undefined ? this.authenticated() : this.pend({ isAgain: true })
  }

  authenticated() {
    this.authenticatedAt = this.now
    return this.tokens(undefined, false, { auth_time: this.now })
  }

  /** Returns a token response. Without a number, the refresh token stays as it is. */
  tokens(number, usesCookie, claims = {}, members = {}) {
    if (usesCookie) this.cookie = String(number)
    const payload = { iat: this.now, exp: this.now + this.lifetime, jti: this.requests.length, sid: this.first, ...claims }
    const body = {
      access_token: `e30.${Buffer.from(JSON.stringify(payload)).toString('base64url')}.c2ln`, token_type: 'Bearer',
      expires_in: this.lifetime, scope: 'read write', ...(usesCookie || number === undefined ? {} : { refresh_token: String(number) }), ...members,
    }
    const headers = this.exposesDate ? { date: new Date(this.now * 1000).toUTCString() } : {}
    return Response.json(body, { headers })
  }
}

export function refusal(status, error, description, headers = {}, members = {}) {
  return Response.json({ error, error_description: description, ...members }, { status, headers })
}

/** Returns a passkey's answer, as browsers give it. */
export function passkey(signature = [3, 4]) {
  const octets = (...values) => Uint8Array.from(values).buffer
  return {
    id: 'AQI', rawId: octets(1, 2), type: 'public-key', authenticatorAttachment: 'platform', getClientExtensionResults: () => ({}),
    response: { clientDataJSON: octets(251, 255), authenticatorData: octets(0), signature: octets(...signature), userHandle: octets(7) },
  }
}
