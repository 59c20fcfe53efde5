// Browsers with several tabs and an issuer, for session.test.js: clocks, timers, locks and messages are the test's.
import { setImmediate as nextTurn } from 'node:timers/promises'
import { fetchWith } from '../../../pkg/dist/session-fetch.js'
import { SessionKeeper } from '../../../pkg/dist/session-keeper.js'
import { readSessionOptions } from '../../../pkg/dist/session-options.js'

export const ISSUER = 'https://auth.example'
export const PAGE = 'https://app.example'

/** The lifetime of an access token, in seconds. */
export const LIFETIME = 900

/** A machine with a browser. */
export class Machine {
  /** Differs from the issuer's clock by the error of the system's clock. */
  wallTime = Date.UTC(2026, 10, 29)
  steadyTime = 5000
  isOnline = true
  tabs = []
  channels = new Set()
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

  constructor(machine, options) {
    this.machine = machine
    const fetch = (url, init) => (this.isClosed ? new Promise(() => {}) : machine.issuer.fetch(url, init))
    const settings = readSessionOptions({ issuer: ISSUER, fetch, ...options })
    this.session = new SessionKeeper(settings, this.browser())
    this.fetch = fetchWith(this.session, settings, this.browser())
    this.stop = this.session.onChange((state) => this.states.push(state.status))
  }

  get status() {
    return this.session.state.status
  }

  logIn() {
    return this.session.login('alice', 'secret')
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
      this.first = ++this.current
      return this.tokens(this.current, usesCookie)
    }
    const token = new URLSearchParams(body).get('refresh_token') ?? (usesCookie ? this.cookie : '')
    if (path === '/logout') {
      if (Number(token) >= this.first) this.current = 0
      if (usesCookie) this.cookie = ''
      return new Response(null, { status: 204 })
    }
    if (token === '') return refusal(400, 'invalid_request', 'refresh_token is missing')
    const isCurrent = token === String(this.current)
    const isRepeat = token === String(this.current - 1) && this.now <= this.rotatedAt + 30
    if (this.current === 0 || !(isCurrent || isRepeat)) {
      this.current = 0
      return refusal(400, 'invalid_grant', 'the refresh token was replaced')
    }
    if (isCurrent) {
      this.current++
      this.rotatedAt = this.now
    }
    return this.tokens(this.current, usesCookie)
  }

  tokens(number, usesCookie) {
    if (usesCookie) this.cookie = String(number)
    const payload = { iat: this.now, exp: this.now + this.lifetime, jti: this.requests.length, sid: this.first }
    const body = {
      access_token: `e30.${Buffer.from(JSON.stringify(payload)).toString('base64url')}.c2ln`, token_type: 'Bearer',
      expires_in: this.lifetime, scope: 'read write', ...(usesCookie ? {} : { refresh_token: String(number) }),
    }
    const headers = this.exposesDate ? { date: new Date(this.now * 1000).toUTCString() } : {}
    return Response.json(body, { headers })
  }
}

export function refusal(status, error, description, headers = {}) {
  return Response.json({ error, error_description: description }, { status, headers })
}
