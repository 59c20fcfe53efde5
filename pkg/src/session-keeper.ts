import type { Browser } from './session-browser.js'
import type { Moment, SessionClock } from './session-clock.js'
import type { SessionEndpoints } from './session-endpoints.js'
import { SessionError } from './session-error.js'
import type { SessionSettings } from './session-options.js'
import { claimsOf, isSameSession, type Tokens } from './session-requests.js'
import { SHARING_MS, SessionTabs, type Message, type SharedTokens } from './session-tabs.js'
import type { SessionState, SessionStatus } from './session-types.js'

/** The part of its lifetime that a token has left when it is refreshed, as for key sets. */
const REFRESH_PART = 0.2

/** A token is not handed out in its last seconds, or in the last tenth of a short life: the request takes time. */
const RESERVE_MS = 10_000

/** The time that tabs have for an answer to a new one. Without a cookie, they are the only place that has the session. */
const ANSWER_MS = { cookie: 50, memory: 500 }

/** The time after which a refused token leads to another refresh: a service may refuse every token. */
const REPLACE_MS = 10_000

const MAX_RETRY_MS = 60_000

/** The most that `Retry-After` can delay a refresh. */
const MAX_RETRY_AFTER_MS = 300_000

/** Timers of more than 24 days would fire at once. */
const MAX_TIMER_MS = 3_600_000

/** A timer never fires more often. */
const MIN_TIMER_MS = 500

/** The error of the issuer's time, in seconds, if the issuer has just found an authentication young enough. */
const AGE_ERROR_S = 5

const WAKING = ['online', 'pageshow', 'focus', 'visibilitychange', 'resume']

/** Keeps the session of this tab: its tokens, and when to refresh them. */
export class SessionKeeper {
  readonly #settings: SessionSettings
  readonly #browser: Browser
  readonly #clock: SessionClock
  readonly #endpoints: SessionEndpoints
  readonly #tabs: SessionTabs
  readonly #listeners = new Set<(state: SessionState) => void>()
  #state: SessionState = { status: 'starting', scope: '', error: undefined }
  /** The number of the last login, refresh or end that this tab knows: see `Message`. */
  #turn = 0
  /** The turn of the login of these tokens, or of the refresh by which this tab found the session. */
  #login = 0
  #tokens: Tokens | undefined
  /** The access token before, of the same login. */
  #previous: string | undefined
  /** Why there is no session. */
  #over: SessionError | undefined
  /** Why the last refresh brought nothing, and when to try again. */
  #failure: { error: SessionError; count: number; moment: Moment; delay: number } | undefined
  /** Another tab began a refresh. It may have been closed before the answer. */
  #isUnanswered = false
  /** The refresh tokens of sessions that are over here, and whose logout the issuer has not answered. */
  readonly #ended = new Set<string>()
  #replaced: Moment | undefined
  #refreshing: Promise<void> | undefined
  /** Ends the wait for the lock. */
  #wait = new AbortController()
  /** Ends a request whose answer is of no use any more. */
  #request = new AbortController()
  /** Resolves when the other tabs have had time to answer. */
  #answered: Promise<void> | undefined
  #endAnswers = () => {}
  #timer: unknown
  #stopListening: (() => void) | undefined
  #isClosed = false

  constructor(settings: SessionSettings, browser: Browser, clock: SessionClock, endpoints: SessionEndpoints) {
    this.#settings = settings
    this.#browser = browser
    this.#clock = clock
    this.#endpoints = endpoints
    const { issuer, mode, timeoutMs } = settings
    // The name has the version of the messages. A refresh takes two attempts at most.
    const name = `countersign/session/1 ${mode} ${issuer}`
    this.#tabs = new SessionTabs(name, 3 * timeoutMs, browser, (message) => this.#receive(message))
  }

  get state(): SessionState {
    return this.#state
  }

  /** Returns the issuer's time in seconds. */
  now(): number {
    return this.#clock.now() / 1000
  }

  onChange(listener: (state: SessionState) => void): () => void {
    this.#start()
    // The same function may be given twice.
    const entry = (state: SessionState) => listener(state)
    this.#listeners.add(entry)
    return () => void this.#listeners.delete(entry)
  }

  /** Sends a login in its turn. If it brings tokens, all tabs take them. */
  async logIn(send: () => Promise<Tokens | undefined>): Promise<void> {
    this.#start()
    await this.#exclusively(async () => {
      const tokens = await send()
      if (tokens === undefined) return
      this.#dismiss()
      const turn = this.#nextTurn()
      this.#adopt(tokens, turn, turn)
      this.#share()
    })
    // If it fails, the next login or logout tries again.
    this.#endAtIssuer().catch(() => {})
  }

  /** Sends a proof that the user of this session is there. If it brings an access token, all tabs take it. */
  async authenticate(send: (refreshToken: string | undefined) => Promise<Tokens | undefined>): Promise<void> {
    await this.accessToken()
    await this.#withTokens(async (before) => {
      const tokens = await send(before.refreshToken).catch(async (error) => {
        if (error.code !== 'session_ended') throw error
        // A refresh whose answer was lost may have replaced the refresh token. A refresh finds out.
        await this.#askIssuer()
        return send(this.#tokens?.refreshToken)
      })
      if (tokens === undefined) return 0
      const current = this.#tokens
      if (current === undefined) throw this.#reason()
      if (!isSameSession(current, tokens)) throw new SessionError('login_expired', 'another session has begun meanwhile: authenticate in that one')
      this.#adopt({ ...tokens, refreshToken: current.refreshToken }, this.#nextTurn(), this.#login)
      this.#share()
      return SHARING_MS
    })
  }

  /** Ends the session in all tabs at once, and then at the issuer. */
  async logout(): Promise<void> {
    this.#start()
    const forgotten = this.#forget()
    // Its turn is before that of a login that is called next.
    await this.#exclusively(async () => {
      await forgotten
      // A login may have been under way.
      await this.#forget()
      if (this.#settings.mode === 'cookie') await this.#endpoints.logout(undefined)
      else await this.#endAtIssuer()
    })
  }

  async #forget(): Promise<void> {
    // Another tab may have the refresh token.
    await this.#answered
    this.#dismiss()
    this.#end(new SessionError('not_logged_in', 'nobody is logged in: the session was logged out'), this.#nextTurn())
    this.#shareEnd()
  }

  #dismiss(): void {
    const refreshToken = this.#tokens?.refreshToken
    if (refreshToken !== undefined) this.#ended.add(refreshToken)
  }

  /** Ends the sessions of refresh tokens. One in the cookie ends by a logout alone: a login replaces the cookie. */
  async #endAtIssuer(): Promise<void> {
    for (const refreshToken of this.#ended) {
      await this.#endpoints.logout(refreshToken)
      this.#ended.delete(refreshToken)
    }
  }

  async accessToken(maxAge?: number): Promise<string> {
    const token = await this.#validToken()
    if (maxAge === undefined || this.#authenticationAge() <= maxAge) return token
    await this.#withTokens(async () => {
      // Another call may have asked meanwhile.
      if (this.#authenticationAge() <= maxAge) return 0
      if (this.#isWaiting()) throw this.#reason()
      await this.#askIssuer(maxAge)
      return SHARING_MS
    })
    const tokens = this.#tokens
    if (tokens === undefined || this.#left(tokens) <= 0) throw this.#reason()
    if (this.#authenticationAge() <= maxAge + AGE_ERROR_S) return tokens.accessToken
    const problem = `the issuer's token has no auth_time of the last ${maxAge} s: let the user authenticate again`
    throw new SessionError('insufficient_user_authentication', problem)
  }

  /** Returns the seconds since the authentication that the access token names, if it names one. */
  #authenticationAge(): number {
    const { auth_time: time } = claimsOf(this.#tokens?.accessToken ?? '')
    return typeof time === 'number' ? this.now() - time : Infinity
  }

  async #validToken(): Promise<string> {
    this.#start()
    const reserve = (tokens: Tokens) => Math.min(RESERVE_MS, tokens.lifetime / 10)
    if (this.#tokens !== undefined && this.#left(this.#tokens) > reserve(this.#tokens)) {
      this.#check()
      return this.#tokens.accessToken
    }
    if (this.#over === undefined && !this.#isClosed && !this.#isWaiting()) await this.#refresh()
    if (this.#tokens !== undefined && this.#left(this.#tokens) > 0) return this.#tokens.accessToken
    throw this.#reason()
  }

  /** Returns an access token that the issuer has made since the call. */
  async refresh(): Promise<string> {
    this.#start()
    // One that is under way began before.
    await this.#refreshing
    const before = this.#tokens?.accessToken
    if (this.#over === undefined && !this.#isClosed) await this.#refresh(before)
    if (this.#tokens !== undefined && this.#tokens.accessToken !== before) return this.#tokens.accessToken
    throw this.#reason()
  }

  /** Returns the access token after one that a service refused, if there is one of the same login. */
  async replace(refused: string): Promise<string | undefined> {
    const isAllowed = () => this.#replaced === undefined || this.#clock.since(this.#replaced) >= REPLACE_MS
    if (this.#tokens?.accessToken === refused && !this.#isWaiting() && isAllowed()) {
      this.#replaced = this.#clock.moment()
      await this.#refresh(refused)
    }
    const tokens = this.#tokens
    return tokens !== undefined && this.#previous === refused && this.#left(tokens) > 0 ? tokens.accessToken : undefined
  }

  close(): void {
    this.#isClosed = true
    this.#stopListening?.()
    this.#listeners.clear()
    this.#browser.clearTimeout(this.#timer)
    this.#wait.abort()
    this.#request.abort()
    this.#tabs.close()
  }

  /** Begins at the first call, not when the session is created: on a server, nothing is called. */
  #start(): void {
    if (this.#isClosed || this.#stopListening !== undefined) return
    const stops = [
      this.#browser.listen(['pagehide'], () => this.#tabs.close()),
      this.#browser.listen(WAKING, (event) => this.#wake(event)),
    ]
    this.#stopListening = () => stops.forEach((stop) => stop())
    this.#open()
    void this.#refresh()
  }

  /** Opens the channel, and asks the other tabs for what happened. */
  #open(): void {
    this.#tabs.open()
    this.#answered = new Promise((resolve) => {
      this.#endAnswers = resolve
      this.#browser.setTimeout(resolve, ANSWER_MS[this.#settings.mode])
    })
    this.#tabs.post({ kind: 'ask', turn: this.#turn })
  }

  /** After a sleep, timers are late, and they are slow while a tab is hidden. */
  #wake({ type, persisted }: Event & { persisted?: boolean }): void {
    // While the page was in the back/forward cache, it got no messages.
    if (type === 'pageshow' && persisted === true) this.#open()
    if (type === 'online' && this.#failure !== undefined) this.#failure.delay = 0
    this.#check()
  }

  /** Refreshes if it is time, and sets the timer for the next time. */
  #check(): void {
    this.#browser.clearTimeout(this.#timer)
    this.#update()
    if (this.#isClosed || this.#over !== undefined || this.#refreshing !== undefined) return
    if (this.#isDue() && !this.#isWaiting()) return void this.#refresh()
    const milliseconds = Math.min(Math.max(this.#nextCheck(), MIN_TIMER_MS), MAX_TIMER_MS)
    this.#timer = this.#browser.setTimeout(() => this.#check(), milliseconds)
  }

  /** Returns the milliseconds until something is to be done. */
  #nextCheck(): number {
    const left = this.#tokens === undefined ? 0 : this.#left(this.#tokens)
    if (this.#failure === undefined || !this.#isWaiting()) return left - this.#refreshAt()
    const { moment, delay } = this.#failure
    const retry = delay - this.#clock.since(moment)
    // At the end of the token, the state changes.
    return left > 0 ? Math.min(left, retry) : retry
  }

  /** Refreshes the tokens in one tab, and waits for the result in the others. Sets the state instead of throwing. */
  #refresh(refused?: string): Promise<void> {
    this.#refreshing ??= this.#refreshOnce(refused).finally(() => {
      this.#refreshing = undefined
      this.#check()
    })
    return this.#refreshing
  }

  async #refreshOnce(refused?: string): Promise<void> {
    this.#wait = new AbortController()
    const work = async () => {
      await this.#answered
      const isNeeded = this.#isUnanswered || this.#isDue() || this.#tokens?.accessToken === refused
      if (this.#over !== undefined || !isNeeded || this.#wait.signal.aborted) return 0
      if (this.#settings.mode === 'memory' && this.#tokens === undefined) {
        this.#end(new SessionError('not_logged_in', 'nobody is logged in: no tab has a session'), this.#turn)
        return 0
      }
      await this.#askIssuer().catch(() => {})
      return SHARING_MS
    }
    await this.#tabs.exclusively(work, this.#wait.signal)
  }

  /** Refreshes the tokens, and tells the result to all tabs. */
  async #askIssuer(maxAge?: number): Promise<void> {
    const before = this.#tokens
    const refreshToken = before?.refreshToken
    const { signal } = (this.#request = new AbortController())
    this.#tabs.post({ kind: 'started' })
    try {
      const tokens = await this.#endpoints.refresh(refreshToken, signal, maxAge)
      // There may have been a logout.
      if (signal.aborted) return
      const turn = this.#nextTurn()
      // A page of another origin may have logged in, which replaced the cookie.
      const isSame = before !== undefined && isSameSession(before, tokens)
      const login = isSame ? this.#login : turn
      this.#adopt({ ...tokens, refreshToken: tokens.refreshToken ?? refreshToken }, turn, login)
      this.#share()
    } catch (error) {
      if (signal.aborted) return
      this.#takeRefusal(error as SessionError)
      throw error
    }
  }

  #takeRefusal(error: SessionError): void {
    if (error.code === 'insufficient_user_authentication' && this.#tokens !== undefined) {
      // The tokens stay, also for the tabs that wait for others.
      this.#adopt(this.#tokens, this.#nextTurn(), this.#login)
      return this.#share()
    }
    if (error.code === 'session_ended' || error.code === 'not_logged_in') {
      // The cookie is gone, of a session that this page has seen.
      const isLost = error.code === 'not_logged_in' && this.#tokens !== undefined
      this.#end(isLost ? new SessionError('session_ended', error.message) : error, this.#nextTurn())
      return this.#shareEnd()
    }
    const delay = Math.min(1000 * 2 ** (this.#failure?.count ?? 0), MAX_RETRY_MS) * (0.5 + this.#browser.random() / 2)
    const retryIn = Math.max(delay, Math.min((error.retryAfter ?? 0) * 1000, MAX_RETRY_AFTER_MS))
    this.#fail(error, retryIn)
    this.#tabs.post({ kind: 'failed', code: error.code, message: error.message, retryIn })
  }

  /** Runs a login or a logout while no tab refreshes. */
  async #exclusively(work: () => Promise<void>): Promise<void> {
    this.#tabs.endPauses()
    await this.#tabs.exclusively(async () => {
      await work()
      return 0
    }, new AbortController().signal)
  }

  /** Runs work with the newest tokens while no tab refreshes. Other tabs wait afterwards for the pause to which it resolves. */
  async #withTokens(work: (tokens: Tokens) => Promise<number>): Promise<void> {
    await this.#tabs.exclusively(async () => {
      if (this.#tokens === undefined || this.#isClosed) throw this.#reason()
      return work(this.#tokens)
    }, new AbortController().signal)
  }

  /** Also a tab that got no message yet has to have a larger number than the others. */
  #nextTurn(): number {
    return Math.max(this.#turn + 1, this.#clock.moment().wall)
  }

  #adopt(tokens: Tokens, turn: number, login: number): void {
    const isLogin = login !== this.#login
    const before = this.#tokens?.accessToken
    if (isLogin || before !== tokens.accessToken) this.#previous = isLogin ? undefined : before
    this.#turn = turn
    this.#login = login
    this.#tokens = tokens
    this.#over = undefined
    this.#failure = undefined
    this.#isUnanswered = false
    this.#update(isLogin)
    this.#check()
  }

  #end(error: SessionError, turn: number): void {
    this.#turn = turn
    this.#tokens = undefined
    this.#over = error
    this.#failure = undefined
    this.#isUnanswered = false
    this.#request.abort()
    this.#check()
  }

  #fail(error: SessionError, delay: number): void {
    this.#failure = { error, count: (this.#failure?.count ?? 0) + 1, moment: this.#clock.moment(), delay }
    this.#isUnanswered = false
    this.#check()
  }

  #share(): void {
    if (this.#tokens === undefined) return
    const { since, ...tokens } = this.#tokens
    const shared = { ...tokens, age: this.#clock.since(since), wall: this.#clock.moment().wall, issuerTime: this.#clock.measured() }
    this.#tabs.post({ kind: 'tokens', turn: this.#turn, login: this.#login, tokens: shared })
  }

  #shareEnd(): void {
    if (this.#over !== undefined) this.#tabs.post({ kind: 'over', turn: this.#turn, code: this.#over.code, message: this.#over.message })
  }

  /** Takes a message of another tab. */
  #receive(message: Message): void {
    if (message.kind === 'ask') {
      if (message.turn < this.#turn) this.#share()
      return
    }
    if (message.kind === 'started') {
      if (this.#over !== undefined) return
      this.#isUnanswered = true
      return void this.#refresh()
    }
    if (message.kind === 'failed') this.#fail(new SessionError(message.code, message.message), message.retryIn)
    else if (message.turn <= this.#turn) return
    else if (message.kind === 'tokens') this.#adopt(this.#readShared(message.tokens), message.turn, message.login)
    else this.#end(new SessionError(message.code, message.message), message.turn)
    this.#endAnswers()
    this.#wait.abort()
  }

  #readShared({ age, wall, issuerTime, ...tokens }: SharedTokens): Tokens {
    if (issuerTime !== undefined) this.#clock.set(issuerTime, this.#clock.momentBefore(wall, 0))
    return { ...tokens, since: this.#clock.momentBefore(wall, age) }
  }

  /** The milliseconds that tokens have left. */
  #left({ lifetime, since }: Tokens): number {
    return lifetime - this.#clock.since(since)
  }

  #isDue(): boolean {
    return this.#tokens === undefined || this.#left(this.#tokens) <= this.#refreshAt()
  }

  /** The milliseconds that a token has left when it is refreshed. */
  #refreshAt(): number {
    return (this.#tokens?.lifetime ?? 0) * REFRESH_PART
  }

  /** Returns the reason why there is no token. */
  #reason(): SessionError {
    return this.#over ?? this.#failure?.error ?? new SessionError('not_logged_in', 'the session object was closed')
  }

  /** True while a failed refresh is not repeated. */
  #isWaiting(): boolean {
    return this.#failure !== undefined && this.#clock.since(this.#failure.moment) < this.#failure.delay
  }

  /** Sets the state, and tells the listeners if it has changed. */
  #update(isLogin = false): void {
    const { status, error } = this.#currentStatus()
    const scope = status === 'active' ? (this.#tokens?.scope ?? '') : ''
    const { status: before } = this.#state
    if (status === before && scope === this.#state.scope && !isLogin) return
    this.#state = Object.freeze({ status, scope, error })
    for (const listener of this.#listeners) {
      try {
        listener(this.#state)
      } catch (error) {
        // The fault of one listener must not keep the state from the others.
        this.#browser.reportError(error)
      }
    }
  }

  #currentStatus(): { status: SessionStatus; error: SessionError | undefined } {
    if (this.#over !== undefined) return { status: this.#over.code as SessionStatus, error: this.#over }
    const isUsable = this.#tokens !== undefined && (this.#failure === undefined || this.#left(this.#tokens) > 0)
    if (isUsable) return { status: 'active', error: undefined }
    if (this.#failure !== undefined) return { status: this.#failure.error.code as SessionStatus, error: this.#failure.error }
    return { status: 'starting', error: undefined }
  }
}
