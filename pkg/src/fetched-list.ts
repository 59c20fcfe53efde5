import type {
  CacheEntry, EntryStore, FetchDocument, FetchedDocument, Holder, KeySetLocation, Location, Origin, RemoteSettings,
} from './documents.js'
import { refuse } from './errors.js'
import { clamp, fetchDocument, refuseDocument } from './fetch-document.js'
import { Resolver } from './resolver.js'
import { readList, type StatusList } from './status-list.js'

/** The settings of all lists. Times are in seconds. */
export interface ListSettings {
  readonly remote: RemoteSettings
  readonly now: () => number
  readonly tolerance: number
  /**
   * Returns the claims of a list with a good signature.
   *
   * @throws {@link VerifyError} - Any code of a token before its claims.
   */
  readonly claimsOf: (text: string) => Promise<Readonly<Record<string, unknown>>>
}

/** A cached list with its content. */
interface Entry extends CacheEntry {
  readonly list: StatusList
}

/** The size of a list besides its statuses, roughly: bytes. */
const OVERHEAD = 1024

/** A status list from a URL, which is fetched, renewed and kept in an outage like a key set. */
export class FetchedList implements Holder, KeySetLocation {
  /** The number of its last use, which the caller counts. */
  usedAt = 0
  readonly #uri: string
  readonly #settings: ListSettings
  /** The settings of the resolver. */
  readonly #own: RemoteSettings
  readonly #resolver: Resolver
  readonly #changed: () => void
  #list: StatusList | undefined

  /** Calls `changed` after each change of its size. */
  constructor(uri: string, settings: ListSettings, changed: () => void) {
    const { remote, now } = settings
    this.#uri = uri
    this.#settings = settings
    this.#changed = changed
    this.#own = { ...remote, store: remote.store && this.#verifying(remote.store) }
    this.#resolver = new Resolver(this, this.#own, now, this)
  }

  /** The bytes that it takes, roughly. */
  get size(): number {
    return OVERHEAD + (this.#list?.bytes.length ?? 0)
  }

  /** Returns the list, unless it is too old. */
  current(): StatusList | undefined {
    this.#resolver.expire(this.#settings.now())
    return this.#list
  }

  /** Gets the list if it is due. Returns the fault if there is none afterwards. */
  async renew(): Promise<unknown> {
    try {
      this.current()
      // A stored list can be past its lifetime. A second call then asks the endpoint.
      for (let origin: Origin | undefined; origin !== 'endpoint'; ) {
        const renewal = this.#resolver.renew()
        if (renewal === undefined) return undefined
        origin = await renewal
      }
      return undefined
    } catch (error) {
      return error
    }
  }

  /** Fetches the list now. */
  refresh(): Promise<void> {
    return this.#resolver.refresh()
  }

  // The methods for the resolver.

  async stored(): Promise<URL> {
    return new URL(this.#uri)
  }

  async locate(): Promise<Location> {
    return { url: new URL(this.#uri), fetch: this.#fetch }
  }

  setKeys(_text: string, entry: CacheEntry): boolean {
    this.#list = (entry as Entry).list
    this.#changed()
    return true
  }

  dropKeys(): void {
    this.#list = undefined
  }

  readonly #fetch: FetchDocument = async (_kind, url, settings, known) => {
    const { fetch, age } = requesting(settings)
    try {
      const document = await fetchDocument('status list', url, { ...settings, fetch }, known, isText)
      const cached = known as Entry | undefined
      const list = document.text === cached?.text ? cached.list : await this.#read(document.text)
      // Its own ttl comes before the response's lifetime. It counts from the issuer's answer, which caches may have kept.
      const ttl = list.ttl === undefined ? document.ttl : clamp(list.ttl - age(), settings)
      return this.#limit({ ...document, list, ttl })
    } catch (error) {
      throw refuse({ code: 'status_unavailable', message: (error as Error).message }, error)
    }
  }

  /** Ends the lifetime of a list at its `exp`. */
  #limit<T extends FetchedDocument & { at?: number; list: StatusList }>(document: T): T {
    const { now, remote, tolerance } = this.#settings
    const end = document.list.exp + tolerance
    if (now() >= end) throw this.#refuse('has expired')
    const left = end - (document.at ?? now())
    const ttl = Math.min(document.ttl, left)
    this.#own.staleIfError = Math.min(remote.staleIfError, left - ttl)
    return { ...document, ttl }
  }

  async #read(text: string): Promise<StatusList> {
    const { claimsOf, now, tolerance } = this.#settings
    const claims = await claimsOf(text).catch((error: Error) => {
      throw this.#refuse(`is refused: ${error.message}`, error)
    })
    return readList(claims, this.#uri, tolerance, now()).catch((error: Error) => {
      throw this.#refuse(error.message)
    })
  }

  #refuse(fault: string, cause?: unknown): Error {
    return refuseDocument('status list', new URL(this.#uri), `it ${fault}`, cause)
  }

  /** Verifies stored lists too. */
  #verifying(store: EntryStore): EntryStore {
    return {
      read: async (url, now) => {
        const entry = await store.read(url, now)
        // A list that is refused is fetched anew.
        return entry && this.#open(entry).catch(() => undefined)
      },
      write: (url, entry) => store.write(url, entry),
    }
  }

  /** A stored lifetime, which is not signed, can only shorten the list's own. */
  async #open(entry: CacheEntry): Promise<Entry> {
    const list = await this.#read(entry.text)
    const ttl = Math.min(entry.ttl, clamp(list.ttl ?? Infinity, this.#settings.remote))
    return this.#limit({ ...entry, list, ttl })
  }
}

/**
 * Returns the `fetch` for lists, which asks for another media type (§8.1 of the draft). `age` returns the time that the last
 * response was in caches (RFC 9111 §5.1): seconds.
 */
function requesting({ fetch = globalThis.fetch }: RemoteSettings): { fetch: typeof globalThis.fetch; age: () => number } {
  let age = 0
  return {
    fetch: async (url, request) => {
      const headers = { ...(request?.headers as Record<string, string>), accept: 'application/statuslist+jwt' }
      const response = await fetch(url, { ...request, headers })
      age = Math.max(Number(response.headers.get('age')) || 0, 0)
      return response
    },
    age: () => age,
  }
}

/** The signature tells if the text is a list. */
function isText(text: string | undefined): text is string {
  return text !== undefined
}
