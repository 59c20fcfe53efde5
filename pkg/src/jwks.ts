import { readObject } from './decode.js'
import { VerifyError } from './errors.js'
import { fetchKeySet, runtime, WORKERS, type FetchedSet } from './fetch-keys.js'
import { readStored, writeStored } from './key-store.js'
import type { RemoteSettings } from './options.js'

/** A set in use, and when it was asked for. */
export interface LoadedSet extends FetchedSet {
  at: number
}

/** What came of a go at getting a set. */
interface Landing {
  /** Whether the endpoint was asked; otherwise the store had a set. */
  fetched: boolean
  /** Settles when the set is in the store. */
  stored?: Promise<void>
}

/** One go at getting a set. */
interface Flight extends Landing {
  readonly at: number
  /** Settles when the set is in use; rejects where none is to be had. */
  done?: Promise<void>
  /** The same to look at. */
  over: boolean
  error?: unknown
}

/** The part of a set's lifetime after which it is renewed ahead of time. */
const RENEW_AHEAD = 0.8

/** How long a `kid` is not looked for that was not found twice: seconds. */
const MISS_TTL = 30

/** More than can be looked for in {@link MISS_TTL}, at the least cooldown. */
const MAX_MISSES = 64

/** The longest pause between attempts that fail: seconds. */
const MAX_PAUSE = 60

/** How often a request of a Worker looks whether another one's fetch is over, and how often at most. */
const LOOK_EVERY_MS = 50
const MAX_LOOKS = 20

/** Gets a key set, and knows when to get it again. Times are in seconds. */
export class RemoteKeySet {
  readonly #url: URL
  readonly #settings: RemoteSettings
  readonly #now: () => number
  readonly #install: (text: string | undefined) => void

  #loaded: LoadedSet | undefined
  #failure: { at: number; pause: number; count: number; error: unknown } | undefined
  #flight: Flight | undefined
  #missedAt: number | undefined
  /** When each `kid` was last looked for, from the second time on. */
  readonly #misses = new Map<unknown, number>()

  /**
   * `install` puts the set of this text to use, or none. It throws, with the keys in use kept, where the text is no JWK
   * Set.
   */
  constructor(url: URL, settings: RemoteSettings, now: () => number, install: (text: string | undefined) => void) {
    this.#url = url
    this.#settings = settings
    this.#now = now
    this.#install = install
  }

  /** Answers as `verifySync` does by the keys in use, and again where others may change the verdict and have been got. */
  async verify<T>(token: string, verifySync: () => T): Promise<T> {
    for (let fetched = false; ; ) {
      let verified: T | undefined
      let refusal: unknown
      try {
        verified = verifySync()
      } catch (error) {
        refusal = error
      }
      const renewal: Promise<Landing> | undefined = fetched ? undefined : this.#renewalFor(token, refusal)
      if (renewal === undefined) {
        if (refusal !== undefined) throw refusal
        return verified as T
      }
      try {
        // A set out of the store can be past its time or lack the key: then the endpoint has to be asked too.
        fetched = (await renewal).fetched
      } catch (error) {
        if (this.#loaded === undefined) throw error
        fetched = true
      }
    }
  }

  /** Asks the endpoint now, or waits for the fetch under way; and until the store has the set. */
  async refresh(): Promise<void> {
    const { fetched, stored } = await this.#load(false)
    if (!fetched) return this.refresh()
    await stored
  }

  /** Puts a set out of use that is too old even for an endpoint that fails. */
  expire(now: number): void {
    const loaded = this.#loaded
    if (loaded === undefined) return
    // A clock that was set back tells no age: as if the set had come to its time just now.
    if (now < loaded.at) loaded.at = now - loaded.ttl
    if (now < loaded.at + loaded.ttl + this.#settings.staleIfError) return
    this.#loaded = undefined
    this.#install(undefined)
  }

  /**
   * What to wait for because it may change the verdict on a token, given its refusal (`undefined`: it passed).
   *
   * @throws {@link VerifyError} - Why there are no keys, where it is too early to ask again.
   */
  #renewalFor(token: string, refusal: unknown): Promise<Landing> | undefined {
    if (refusal !== undefined && !reachedTheKeys(refusal)) return undefined
    const now = this.#now()
    const age = this.#loaded === undefined ? Infinity : (now - this.#loaded.at) / this.#loaded.ttl
    const missed = refusal instanceof VerifyError && refusal.code === 'key_not_found'
    if (age < RENEW_AHEAD && !missed) return undefined

    const failure = this.#failure
    if (failure !== undefined && within(failure.at, failure.pause, now)) {
      if (this.#loaded === undefined) throw failure.error
      return undefined
    }
    const underWay = this.#underWay(now) !== undefined
    // An endpoint that failed just now may take its whole time to fail again: nobody waits for it who need not.
    const serves = age < 1 || (this.#loaded !== undefined && within(failure?.at, 2 * MAX_PAUSE, now))
    if (!serves || (missed && (underWay || this.#mayLookFor(token, now)))) return this.#load(true)
    if (age >= RENEW_AHEAD && !underWay) this.#load(true).catch(() => {})
    return undefined
  }

  /**
   * Lets one miss through each cooldown. A `kid` that is looked for a second time, as where one machine of several has
   * the new set, then has to wait for longer, so that the ones that are gone for good do not use up the cooldown.
   */
  #mayLookFor(token: string, now: number): boolean {
    const { kid } = readObject(token.slice(0, token.indexOf('.')), 'header')
    if (within(this.#missedAt, this.#settings.cooldown, now) || within(this.#misses.get(kid), MISS_TTL, now)) return false
    if (this.#misses.size >= MAX_MISSES) this.#misses.clear()
    this.#misses.set(kid, this.#misses.has(kid) ? now : -Infinity)
    this.#missedAt = now
    return true
  }

  /** Gets a set, or waits for the go under way: there is one at most. */
  async #load(fromStore: boolean): Promise<Landing> {
    const now = this.#now()
    const other = this.#underWay(now)
    if (other !== undefined && runtime() !== WORKERS) {
      await other.done
      return other
    }
    // A Worker's request may hang for good on the promise of another one, which can end first. So it looks now and then.
    for (let looks = 0; other !== undefined && looks < MAX_LOOKS; looks++) {
      await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS))
      if (other.error !== undefined) throw other.error
      if (other.over) return { fetched: other.fetched }
      // Where another request took over, there may be keys by now: whoever called looks before there is one more fetch.
      if (this.#flight !== other) return { fetched: false }
    }
    const flight: Flight = { at: now, fetched: false, over: false }
    this.#flight = flight
    await (flight.done = this.#fly(flight, fromStore))
    return flight
  }

  /** The go under way, unless it must have died with the Worker's request that began it. */
  #underWay(now: number): Flight | undefined {
    // The store may take as long as the endpoint.
    return within(this.#flight?.at, (2 * this.#settings.timeoutMs) / 1000, now) ? this.#flight : undefined
  }

  async #fly(flight: Flight, fromStore: boolean): Promise<void> {
    const { at } = flight
    try {
      this.expire(at)
      if (fromStore && this.#loaded === undefined) {
        await readStored(this.#url, this.#settings, at, (set) => this.#use(set))
        if (this.#loaded !== undefined) return
      }
      flight.fetched = true
      const set = { ...(await fetchKeySet(this.#url, this.#settings, this.#loaded)), at }
      this.#use(set)
      this.#failure = undefined
      flight.stored = writeStored(this.#url, this.#settings, set)
    } catch (error) {
      this.#fail((flight.error = error))
      throw error
    } finally {
      flight.over = true
      if (this.#flight === flight) this.#flight = undefined
    }
  }

  #use(set: LoadedSet): void {
    // What was asked for earlier and comes later must not bring back a key that has gone since.
    if (this.#loaded !== undefined && set.at < this.#loaded.at) return
    this.#install(set.text)
    if (set.text !== this.#loaded?.text) this.#misses.clear()
    this.#loaded = set
  }

  /** The pause doubles from one second on. Chance keeps verifiers apart that failed together. */
  #fail(error: unknown): void {
    const count = (this.#failure?.count ?? 0) + 1
    const pause = Math.min(2 ** (count - 1) * (1 + Math.random() / 4), MAX_PAUSE)
    this.#failure = { at: this.#now(), pause, count, error }
    this.#misses.clear()
  }
}

/** Whether `now` is in the span that began at `start`. A clock that was set back ends every span. */
function within(start: number | undefined, seconds: number, now: number): boolean {
  return start !== undefined && now >= start && now < start + seconds
}

/** Whether the verifier got as far as to want a key: no fetch is worth a token that no key can save. */
function reachedTheKeys(refusal: unknown): boolean {
  return refusal instanceof VerifyError && !['options', 'parse', 'header'].includes(refusal.stage)
}
