import type { Browser } from './session-browser.js'

/** Runs work in one tab at a time. */
export interface SessionLock {
  /**
   * Runs `work` when no other tab runs any. Returns undefined, without running it, if `signal` is aborted before. If `work`
   * resolves to a pause in milliseconds, other tabs wait for that long afterwards.
   */
  run(work: () => Promise<number>, signal: AbortSignal): Promise<void>
  /** Takes a message of another tab. */
  receive(message: LockMessage): void
}

/** A message between the locks of two tabs: `waiting` ends a pause, and the others are those of {@link ChannelLock}. */
export type LockMessage = { kind: 'claim'; id: number } | { kind: 'held' } | { kind: 'released' } | { kind: 'waiting' }

/** By Web Locks: the browser frees the lock of a tab that is closed. */
export class WebLock implements SessionLock {
  readonly #locks: LockManager
  readonly #name: string
  readonly #browser: Browser
  /** The time after which a tab that holds the lock is taken for suspended. */
  readonly #limit: number
  readonly #fallback: SessionLock
  /** Ends the pause after the work before. */
  #endPause = () => {}

  constructor(locks: LockManager, name: string, limit: number, browser: Browser, fallback: SessionLock) {
    this.#locks = locks
    this.#name = name
    this.#limit = limit
    this.#browser = browser
    this.#fallback = fallback
  }

  run(work: () => Promise<number>, signal: AbortSignal): Promise<void> {
    this.#endPause()
    return new Promise((resolve, reject) => {
      const wait = new AbortController()
      const giveUp = () => wait.abort()
      let isGranted = false
      let isLate = false
      const request = (options: LockOptions) => {
        return this.#locks.request(this.#name, options, async () => {
          isGranted = true
          stopWaiting()
          const pause = await work().then((pause) => (resolve(), pause), (error) => (reject(error), 0))
          if (pause > 0) await this.#pause(pause)
        })
      }
      const timer = this.#browser.setTimeout(() => {
        isLate = true
        giveUp()
      }, this.#limit)
      const stopWaiting = () => {
        this.#browser.clearTimeout(timer)
        signal.removeEventListener('abort', giveUp)
      }
      signal.addEventListener('abort', giveUp)
      if (signal.aborted) giveUp()
      request({ signal: wait.signal }).catch(() => {
        // Another tab may steal the lock during the pause.
        if (isGranted) return
        stopWaiting()
        if (isLate) request({ steal: true }).catch(() => isGranted || resolve())
        else if (wait.signal.aborted) resolve()
        // Some pages may not use Web Locks, such as those without an origin.
        else this.#fallback.run(work, signal).then(resolve, reject)
      })
    })
  }

  receive(message: LockMessage): void {
    if (message.kind === 'waiting') this.#endPause()
    else this.#fallback.receive(message)
  }

  #pause(milliseconds: number): Promise<void> {
    return new Promise((resolve) => {
      this.#endPause = resolve
      this.#browser.setTimeout(resolve, milliseconds)
    })
  }
}

/** The time for other tabs to answer a claim. */
const CLAIM_MS = 100

/** The time after which a tab that held the lock is asked again: it may have been closed. */
const HELD_MS = 1000

/** By messages: a tab claims the lock, and has it if no other tab objects. */
export class ChannelLock implements SessionLock {
  readonly #post: (message: LockMessage) => void
  readonly #browser: Browser
  /** The turns in this tab. */
  #last: Promise<unknown> = Promise.resolve()
  #isHeld = false
  #claim: { id: number; isLost: boolean } | undefined
  #wake = () => {}

  constructor(post: (message: LockMessage) => void, browser: Browser) {
    this.#post = post
    this.#browser = browser
  }

  run(work: () => Promise<number>, signal: AbortSignal): Promise<void> {
    const turn = this.#last.then(async () => {
      if (!(await this.#acquire(signal))) return
      try {
        await work()
      } finally {
        this.#isHeld = false
        this.#post({ kind: 'released' })
      }
    })
    this.#last = turn.catch(() => {})
    return turn
  }

  receive(message: LockMessage): void {
    // There are no pauses: messages have an order, so the result of a refresh comes before `released`.
    if (message.kind === 'waiting') return
    if (message.kind === 'released') return this.#wake()
    const claim = this.#claim
    if (this.#isHeld) {
      if (message.kind === 'claim') this.#post({ kind: 'held' })
    } else if (claim === undefined) return
    else if (message.kind === 'held' || message.id < claim.id) claim.isLost = true
    // The other tab may have missed this claim.
    else this.#post({ kind: 'claim', id: claim.id })
  }

  async #acquire(signal: AbortSignal): Promise<boolean> {
    while (!signal.aborted) {
      const claim = { id: this.#browser.random(), isLost: false }
      this.#claim = claim
      this.#post({ kind: 'claim', id: claim.id })
      await this.#sleep(CLAIM_MS)
      this.#claim = undefined
      if (signal.aborted) return false
      if (!claim.isLost) return (this.#isHeld = true)
      await this.#sleep(HELD_MS, signal)
    }
    return false
  }

  /** Sleeps until the lock is released, at most for this time. */
  #sleep(milliseconds: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal !== undefined) {
        this.#wake = resolve
        signal.addEventListener('abort', () => resolve())
      }
      this.#browser.setTimeout(resolve, milliseconds)
    })
  }
}
