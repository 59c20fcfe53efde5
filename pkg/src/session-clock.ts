import type { Browser } from './session-browser.js'

/** A moment, by both clocks of the browser. */
export interface Moment {
  readonly wall: number
  readonly steady: number
}

/**
 * Measures durations, and estimates the issuer's time. The system's clock may be wrong by any amount, and may be set at any
 * moment. The steady clock may stop while the machine sleeps. So the longer of the two durations counts: a token is never
 * taken for younger than it is, except if the clock is set back during a sleep.
 */
export class SessionClock {
  readonly #browser: Browser
  /** The issuer's time at a moment. */
  #measured: { time: number; moment: Moment } | undefined

  constructor(browser: Browser) {
    this.#browser = browser
  }

  moment(): Moment {
    return { wall: this.#browser.wallTime(), steady: this.#browser.steadyTime() }
  }

  /** Returns the milliseconds since a moment. */
  since({ wall, steady }: Moment): number {
    const now = this.moment()
    return Math.max(now.wall - wall, now.steady - steady, 0)
  }

  /** Returns the moment that is so many milliseconds before a time of the system's clock, which another tab has read. */
  momentBefore(wall: number, milliseconds: number): Moment {
    const now = this.moment()
    const since = Math.max(now.wall - wall, 0) + milliseconds
    return { wall: wall - milliseconds, steady: now.steady - since }
  }

  /** Returns the issuer's time in milliseconds, or the system's if it was never measured. */
  now(): number {
    return this.#measured === undefined ? this.#browser.wallTime() : this.#measured.time + this.since(this.#measured.moment)
  }

  /** Returns the issuer's time, if it was measured. */
  measured(): number | undefined {
    return this.#measured && this.now()
  }

  /**
   * Takes the second in which the issuer answered a request that was sent at a moment and is answered now. The answer was made
   * in the middle of that time and of the second, with an error of at most half of both.
   */
  measure(second: number, sent: Moment): void {
    this.set(second * 1000 + 500 + this.since(sent) / 2, this.moment())
  }

  /** Sets the issuer's time at a moment. */
  set(time: number, moment: Moment): void {
    this.#measured = { time, moment }
  }
}
