import { fetchKeySet, runtime, WORKERS } from './fetch-keys.js'
import { readStored, writeStored, type CacheEntry } from './key-store.js'
import type { RemoteSettings } from './options.js'
import { isWithin } from './timing.js'
import { UnknownKids } from './unknown-kids.js'
import { WasmVerifier } from './wasm.js'

/** The source of a key set. */
export type Origin = 'store' | 'endpoint'

/** An attempt to get a key set. */
interface Attempt {
  readonly startedAt: number
  /** `endpoint` after a fetch that succeeded. */
  origin: Origin
  error?: unknown
  /** Settles with the attempt. */
  done?: Promise<void>
  /** Settles when the store has the set. */
  stored?: Promise<void>
}

/** The attempts since the last success, all of which failed. */
interface Failure {
  readonly at: number
  /** The seconds until the next attempt. */
  readonly backoff: number
  readonly retries: number
  readonly error: unknown
}

/** The part of a set's lifetime after which it is renewed ahead of time. */
const RENEW_AHEAD = 0.8

/** The longest backoff: seconds. */
const MAX_BACKOFF = 60

/** How a request of a Worker polls for the end of another request's attempt. */
const POLL_INTERVAL_MS = 50
const MAX_POLLS = 20

/**
 * Resolves the URL of a key set to the set: fetches it, caches it, renews it, and backs off while the endpoint fails. It
 * knows no tokens: the verifier asks for keys and verifies again. Every set that it returns is a JWK Set. Times are in
 * seconds.
 */
export class KeyResolver {
  readonly #url: URL
  readonly #settings: RemoteSettings
  readonly #now: () => number
  /** Checks that a text is a JWK Set. Without a policy it verifies nothing. */
  readonly #validator = new WasmVerifier()
  readonly #unknownKids: UnknownKids

  #entry: CacheEntry | undefined
  #failure: Failure | undefined
  #inFlight: Attempt | undefined

  constructor(url: URL, settings: RemoteSettings, now: () => number) {
    this.#url = url
    this.#settings = settings
    this.#now = now
    this.#unknownKids = new UnknownKids(settings.cooldown)
  }

  /** Returns the cached set, or `undefined` if there is none or it is too old. The object stays the same until it is replaced. */
  current(now: number): CacheEntry | undefined {
    const entry = this.#entry
    if (entry !== undefined) {
      // The age is unknown if the clock was set back. The lifetime then ends now.
      if (now < entry.at) entry.at = now - entry.ttl
      if (now >= entry.at + entry.ttl + this.#settings.staleIfError) this.#entry = undefined
    }
    return this.#entry
  }

  /**
   * Gets fresh keys if they are due, or if `missing` names a `kid` that the set lacks. Returns a promise if the caller
   * should wait for them and verify again, and `undefined` if the verdict stands.
   *
   * The promise resolves to the origin of the keys. Keys from the store can be past their lifetime, or lack the `kid` too:
   * then a second call asks the endpoint. If the endpoint fails, the promise resolves to `endpoint` while there are cached
   * keys, and rejects otherwise.
   *
   * @throws {@link VerifyError} - The last failure, if there are no keys and the backoff is not over.
   */
  renew(missing?: { readonly kid: unknown }): Promise<Origin> | undefined {
    const now = this.#now()
    const age = this.#entry === undefined ? Infinity : (now - this.#entry.at) / this.#entry.ttl
    if (age < RENEW_AHEAD && missing === undefined) return undefined

    const failure = this.#failure
    if (failure !== undefined && isWithin(failure.at, failure.backoff, now)) {
      if (this.#entry === undefined) throw failure.error
      return undefined
    }
    const inFlight = this.#attemptInFlight(now) !== undefined
    // An endpoint that failed recently may take until the timeout to fail again. Calls that have keys do not wait for it.
    const serves = age < 1 || (this.#entry !== undefined && isWithin(failure?.at, 2 * MAX_BACKOFF, now))
    if (!serves || (missing !== undefined && (inFlight || this.#unknownKids.mayFetch(missing.kid, now)))) return this.#renewed()
    if (age >= RENEW_AHEAD && !inFlight) this.#load(true).catch(() => {})
    return undefined
  }

  /** Asks the endpoint, or waits for the attempt in flight; then waits until the store has the set. */
  async refresh(): Promise<void> {
    const { origin, stored } = await this.#load(false)
    if (origin === 'store') return this.refresh()
    await stored
  }

  async #renewed(): Promise<Origin> {
    try {
      return (await this.#load(true)).origin
    } catch (error) {
      if (this.#entry === undefined) throw error
      return 'endpoint'
    }
  }

  /** Begins an attempt, or waits for the one in flight. */
  async #load(fromStore: boolean): Promise<Pick<Attempt, 'origin' | 'stored'>> {
    const now = this.#now()
    const other = this.#attemptInFlight(now)
    if (other !== undefined && runtime() !== WORKERS) {
      await other.done
      return other
    }
    // A Worker's request can end before its attempt does, whose promise then never settles. So other requests poll.
    for (let polls = 0; other !== undefined && polls < MAX_POLLS; polls++) {
      await new Promise((resolve) => setTimeout(resolve, POLL_INTERVAL_MS))
      if (other.error !== undefined) throw other.error
      // If another request took over, there may be keys already: like those from the store, they are tried before a fetch.
      if (this.#inFlight !== other) return { origin: other.origin }
    }
    const attempt: Attempt = { startedAt: now, origin: 'store' }
    this.#inFlight = attempt
    await (attempt.done = this.#run(attempt, fromStore))
    return attempt
  }

  /** Returns the attempt in flight, unless it is so old that it must have died with the Worker's request that began it. */
  #attemptInFlight(now: number): Attempt | undefined {
    // The timeout applies to the store and to the endpoint, one after the other.
    return isWithin(this.#inFlight?.startedAt, (2 * this.#settings.timeoutMs) / 1000, now) ? this.#inFlight : undefined
  }

  async #run(attempt: Attempt, fromStore: boolean): Promise<void> {
    const at = attempt.startedAt
    try {
      const cached = this.current(at)
      if (fromStore && cached === undefined && (await this.#loadStored(at))) return
      const entry = { ...(await fetchKeySet(this.#url, this.#settings, this.#entry)), at }
      this.#replace(entry)
      this.#failure = undefined
      attempt.origin = 'endpoint'
      attempt.stored = writeStored(this.#url, this.#settings, entry)
    } catch (error) {
      attempt.error = error
      this.#fail(error)
      throw error
    } finally {
      if (this.#inFlight === attempt) this.#inFlight = undefined
    }
  }

  /** Returns true if there are keys afterwards. */
  async #loadStored(now: number): Promise<boolean> {
    const stored = await readStored(this.#url, this.#settings, now)
    try {
      if (stored !== undefined) this.#replace(stored)
    } catch {
      // A stored text that is no JWK Set is ignored.
    }
    return this.#entry !== undefined
  }

  /** Caches the set, unless a later request was answered earlier: an old set could bring back a key that is gone. */
  #replace(entry: CacheEntry): void {
    if (this.#entry !== undefined && entry.at < this.#entry.at) return
    if (entry.text !== this.#entry?.text) {
      this.#validator.setKeys(entry.text)
      this.#unknownKids.clear()
    }
    this.#entry = entry
  }

  /** Doubles the backoff, from one second on, with jitter, so that verifiers that failed together retry apart. */
  #fail(error: unknown): void {
    const retries = this.#failure === undefined ? 0 : this.#failure.retries + 1
    const backoff = Math.min(2 ** retries * (1 + Math.random() / 4), MAX_BACKOFF)
    this.#failure = { at: this.#now(), backoff, retries, error }
    this.#unknownKids.clear()
  }
}
