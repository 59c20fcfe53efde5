import { isWithin } from './timing.js'

/** The number of seconds for which a `kid` that two fetches did not bring is not fetched again. */
const NEGATIVE_TTL = 30

/** More than can be fetched in {@link NEGATIVE_TTL} with the shortest cooldown. */
const MAX_ENTRIES = 64

/**
 * Limits the fetches for tokens whose `kid` is not in the key set: a cooldown for all of them, and a negative cache for
 * each. Times are in seconds.
 */
export class UnknownKids {
  readonly #cooldown: number
  #lastFetch: number | undefined
  /** Each `kid` with the time of its last fetch, counted from the second fetch on. */
  readonly #negative = new Map<unknown, number>()

  constructor(cooldown: number) {
    this.#cooldown = cooldown
  }

  /**
   * Returns true if a fetch for this `kid` may begin now, and counts it.
   *
   * The second fetch may follow after the cooldown, because another server of the endpoint may have the new set. After
   * that the `kid` waits longer, so that keys gone for good do not use up the cooldown.
   */
  mayFetch(kid: unknown, now: number): boolean {
    const negative = this.#negative
    if (isWithin(this.#lastFetch, this.#cooldown, now) || isWithin(negative.get(kid), NEGATIVE_TTL, now)) return false
    if (negative.size >= MAX_ENTRIES) negative.clear()
    negative.set(kid, negative.has(kid) ? now : -Infinity)
    this.#lastFetch = now
    return true
  }

  /** Empties the negative cache. The cooldown goes on. */
  clear(): void {
    this.#negative.clear()
  }
}
