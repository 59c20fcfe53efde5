import { ageOf, readStored, RENEW_AHEAD, usable, writeStored, type CacheEntry } from './document-store.js'
import { fetchDocument, refuseDocument, report, runtime, WORKERS } from './fetch-document.js'
import { inWords } from './in-words.js'
import { Metadata } from './metadata.js'
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
  /** Settles when the store has the set, and the metadata. */
  stored?: Promise<unknown>
}

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

/** How a request of a Worker polls for the end of another request's attempt. */
const POLL_INTERVAL_MS = 50
const MAX_POLLS = 20

/**
 * Resolves the URL of a key set to the set: fetches it, caches it, renews it, and backs off while the endpoint fails. Without
 * the URL, it finds it in the issuer's metadata first. It knows no tokens: the verifier asks for keys and verifies again.
 * Every set that it returns is a JWK Set. Times are in seconds.
 */
export class KeyResolver {
  readonly #source: URL | Metadata
  readonly #settings: RemoteSettings
  readonly #now: () => number
  /** Checks key sets. It verifies no tokens. */
  readonly #validator = new WasmVerifier()
  readonly #unknownKids: UnknownKids

  #entry: CacheEntry | undefined
  /** The URL of the cached set. */
  #url: string | undefined
  /** True if the last answer was a set without a usable key. Then an older set in the store is not used either. */
  #emptied = false
  #failure: Failure | undefined
  #inFlight: Attempt | undefined

  /** Takes the URL of the set, or the issuer, whose metadata names it. */
  constructor(source: URL | string, settings: RemoteSettings, now: () => number) {
    this.#source = typeof source === 'string' ? new Metadata(source, settings) : source
    this.#settings = settings
    this.#now = now
    this.#validator.setPolicy('{"issuer":"-","audience":"-"}')
    this.#unknownKids = new UnknownKids(settings.cooldown)
  }

  /** Returns the cached set, or `undefined` if there is none or it is too old. The object stays the same until it is replaced. */
  current(now: number): CacheEntry | undefined {
    return (this.#entry = usable(this.#entry, now, this.#settings))
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
    // The timeout applies to the store and to the endpoint, one after the other. The metadata is stored too, and has two URLs.
    const steps = this.#source instanceof Metadata ? 5 : 2
    return isWithin(this.#inFlight?.startedAt, (steps * this.#settings.timeoutMs) / 1000, now) ? this.#inFlight : undefined
  }

  async #run(attempt: Attempt, fromStore: boolean): Promise<void> {
    const at = attempt.startedAt
    try {
      const cached = this.current(at)
      if (fromStore && cached === undefined && !this.#emptied && (await this.#loadStored(at))) return
      const source = this.#source
      const { url, written } = source instanceof Metadata ? await source.locate(at, this.#failure !== undefined) : { url: source }
      const known = url.href === this.#url ? this.#entry : undefined
      const entry = { ...(await fetchDocument('key set', url, this.#settings, known)), at }
      this.#emptied = !this.#replace(entry, url)
      // The store gets a set without a usable key too, so that other processes do not go on with the old keys.
      attempt.stored = Promise.all([written, writeStored(url, this.#settings, entry)])
      if (this.#emptied) {
        this.#entry = undefined
        throw refuseDocument('key set', url, await inWords((words) => words.problemOfUnusable(entry.text)))
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
    const url = source instanceof Metadata ? await source.stored(now) : source
    if (url === undefined) return false
    const stored = await readStored(url, this.#settings, now)
    try {
      // A stored set without a usable key is ignored.
      if (stored !== undefined) this.#replace(stored, url)
    } catch {
      // A stored text that is no JWK Set is ignored.
    }
    return this.#entry !== undefined
  }

  /**
   * Caches the set, unless a later request was answered earlier: an old set could bring back a key that is gone. Returns false
   * if no key of the set is usable.
   */
  #replace(entry: CacheEntry, url: URL): boolean {
    if (this.#entry !== undefined && entry.at < this.#entry.at) return true
    if (entry.text !== this.#entry?.text) {
      this.#validator.setKeys(entry.text)
      if (!this.#validator.hasUsableKeys()) return false
      this.#unknownKids.clear()
    }
    this.#entry = entry
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
