import { ageOf, RENEW_AHEAD, usable } from './cache-entry.js'
import type { Attempt, CacheEntry, Holder, KeySetLocation, Location, Origin, RemoteSettings } from './documents.js'
import { fetchDocument, refuseDocument, report } from './fetch-document.js'
import { inWords } from './in-words.js'
import { isWithin } from './timing.js'
import { UnknownKids } from './unknown-kids.js'

/** The attempts since the last success, all of which failed. */
interface Failure {
  readonly at: number
  /** The seconds until the next attempt. */
  readonly backoff: number
  readonly retries: number
  readonly error: unknown
}

/** The longest backoff: seconds. */
const MAX_BACKOFF = 60

/** The part of a lifetime over which the renewals of verifiers that fetched together are spread. */
const RENEWAL_JITTER = 0.1

/**
 * Gives a holder the key set of a URL: fetches it, caches it, renews it, drops it if it is too old, and backs off while the
 * endpoint fails. It knows no tokens: the verifier asks for keys and verifies again. Times are in seconds.
 *
 * It does the same for a status list, which is to its holder what the keys are to the WebAssembly module.
 */
export class Resolver {
  readonly #source: URL | KeySetLocation
  readonly #settings: RemoteSettings
  readonly #now: () => number
  readonly #holder: Holder
  readonly #unknownKids: UnknownKids

  #entry: CacheEntry | undefined
  /** The part of its lifetime after which it is renewed. */
  #renewAhead = RENEW_AHEAD
  /** The URL of the cached set. */
  #url: string | undefined
  /** True if the last answer was a set without a usable key. Then an older set in the store is not used either. */
  #emptied = false
  #failure: Failure | undefined
  #inFlight: Attempt | undefined

  /** Takes the URL of the set, or the metadata that names it, and the holder that gets the keys. */
  constructor(source: URL | KeySetLocation, settings: RemoteSettings, now: () => number, holder: Holder) {
    this.#source = source
    this.#settings = settings
    this.#now = now
    this.#holder = holder
    this.#unknownKids = new UnknownKids(settings.cooldown)
  }

  /** Drops the keys if they are too old, or if there are none any more. */
  expire(now: number): void {
    this.#entry = usable(this.#entry, now, this.#settings)
    if (this.#entry === undefined) this.#holder.dropKeys()
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
    const age = ageOf(this.#entry, now)
    if (age < this.#renewAhead && missing === undefined) return undefined

    const failure = this.#failure
    if (failure !== undefined && isWithin(failure.at, failure.backoff, now)) {
      if (this.#entry === undefined) throw failure.error
      return undefined
    }
    const inFlight = this.#attemptInFlight(now) !== undefined
    // An endpoint that failed recently may take until the timeout to fail again. Calls that have keys do not wait for it.
    const serves = age < 1 || (this.#entry !== undefined && isWithin(failure?.at, 2 * MAX_BACKOFF, now))
    if (!serves || (missing !== undefined && (inFlight || this.#unknownKids.mayFetch(missing.kid, now)))) return this.#renewed()
    if (age >= this.#renewAhead && !inFlight) this.#load(true).catch(() => {})
    return undefined
  }

  /**
   * Returns the last failure if the keys are past their lifetime. Then nobody can tell that a key does not exist: the issuer may
   * have published it meanwhile.
   */
  outage(): unknown {
    return ageOf(this.#entry, this.#now()) < 1 ? undefined : this.#failure?.error
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
  async #load(fromStore: boolean): Promise<Attempt> {
    const now = this.#now()
    const other = this.#attemptInFlight(now)
    if (other) {
      const { servers } = this.#settings
      if (servers === undefined) {
        await other.done
        return other
      }
      const ended = await servers.waitFor(other, () => this.#inFlight !== other)
      if (ended !== undefined) return ended
    }
    const attempt: Attempt = { startedAt: now, origin: 'store' }
    this.#inFlight = attempt
    attempt.done = this.#run(attempt, fromStore)
    outlive(attempt, this.#settings)
    await attempt.done
    return attempt
  }

  /** Returns the attempt in flight, unless it is so old that it must have died with the Worker's request that began it. */
  #attemptInFlight(now: number): Attempt | undefined {
    // The timeout applies to the store and to the endpoint, one after the other. The metadata is stored too, and has two URLs.
    const steps = this.#source instanceof URL ? 2 : 5
    return isWithin(this.#inFlight?.startedAt, (steps * this.#settings.timeoutMs) / 1000, now) ? this.#inFlight : undefined
  }

  async #run(attempt: Attempt, fromStore: boolean): Promise<void> {
    const at = attempt.startedAt
    try {
      this.expire(at)
      if (fromStore && this.#entry === undefined && !this.#emptied && (await this.#loadStored(at))) return
      const source = this.#source
      const location: Location = source instanceof URL ? { url: source } : await source.locate(at, this.#failure !== undefined)
      const { url, written, fetch = fetchDocument } = location
      const known = url.href === this.#url ? this.#entry : undefined
      const entry = { ...(await fetch('key set', url, this.#settings, known)), at }
      this.#emptied = !this.#replace(entry, url)
      // The store gets a set without a usable key too, so that other processes do not go on with the old keys.
      attempt.stored = Promise.all([written, this.#settings.store?.write(url, entry)])
      if (this.#emptied) {
        throw refuseDocument('key set', url, await inWords((words) => words.problemOfUnusable(entry.text), 'no key of the set is usable'))
      }
      this.#failure = undefined
      attempt.origin = 'endpoint'
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
    const source = this.#source
    const url = source instanceof URL ? source : await source.stored(now)
    if (url === undefined) return false
    const stored = await this.#settings.store?.read(url, now)
    try {
      // A stored set without a usable key is ignored.
      if (stored !== undefined) this.#replace(stored, url)
    } catch {
      // A stored text that is no JWK Set is ignored.
    }
    return this.#entry !== undefined
  }

  /**
   * Uses the set, unless a later request was answered earlier: an old set could bring back a key that is gone. If no key of
   * the set is usable, there are no keys any more, and it returns false.
   */
  #replace(entry: CacheEntry, url: URL): boolean {
    if (entry.at < (this.#entry?.at ?? 0)) return true
    if (entry.text !== this.#entry?.text) {
      if (!this.#holder.setKeys(entry.text, entry)) {
        this.#entry = undefined
        return false
      }
      this.#unknownKids.clear()
    }
    this.#entry = entry
    this.#renewAhead = RENEW_AHEAD + RENEWAL_JITTER * Math.random()
    this.#url = url.href
    return true
  }

  /** Doubles the backoff, from one second on, with jitter, so that verifiers that failed together retry apart. */
  #fail(error: unknown): void {
    const retries = this.#failure === undefined ? 0 : this.#failure.retries + 1
    const backoff = Math.min(2 ** retries * (1 + Math.random() / 4), MAX_BACKOFF)
    this.#failure = { at: this.#now(), backoff, retries, error }
    report(error, this.#settings)
    this.#unknownKids.clear()
  }
}

/** Lets an attempt, and its write to the store, outlive the request of a Worker that began it. */
function outlive(attempt: Attempt, { waitUntil }: RemoteSettings): void {
  const end = async () => {
    await attempt.done?.catch(() => {})
    await attempt.stored
  }
  // It may throw outside of a request.
  ;(async () => waitUntil?.(end()))().catch(() => {})
}
