import type { CacheEntry, EntryStore, RemoteSettings } from './documents.js'
import { readEtag } from './etag.js'
import type { Tools } from './tools.js'
import type { KeyStore } from './types.js'

/** The caller's store. Its loss costs one fetch. */
export class DocumentStore implements EntryStore {
  readonly #store: KeyStore
  readonly #settings: RemoteSettings
  readonly #tools: Tools

  constructor(store: KeyStore, settings: RemoteSettings, tools: Tools) {
    this.#store = store
    this.#settings = settings
    this.#tools = tools
  }

  read(url: URL, now: number): Promise<CacheEntry | undefined> {
    const { clamp, MAX_DOCUMENT_BYTES, usable } = this.#tools
    return this.#attempt(async () => {
      const value = await this.#store.get(storeKey(url))
      // The text is escaped inside of JSON, which makes it longer.
      if (typeof value !== 'string' || value.length > 2 * MAX_DOCUMENT_BYTES) return undefined
      const { text, at, ttl: storedTtl, etag } = JSON.parse(value)
      if (typeof text !== 'string' || text.length > MAX_DOCUMENT_BYTES || typeof at !== 'number') return undefined
      const ttl = clamp(storedTtl, this.#settings)
      return at <= now ? usable({ text, at, ttl, etag: readEtag(etag) }, now, this.#settings) : undefined
    })
  }

  async write(url: URL, { text, at, ttl, etag }: CacheEntry): Promise<void> {
    await this.#attempt(() => this.#store.put(storeKey(url), JSON.stringify({ text, at, ttl, etag })))
  }

  /** Resolves to `undefined` if the store fails or takes too long. */
  async #attempt<T>(work: () => Promise<T>): Promise<T | undefined> {
    try {
      return await this.#tools.withTimeout(this.#settings.timeoutMs, work)
    } catch {
      return undefined
    }
  }
}

/** The key is a URL because the Cache API of Workers takes no other keys. It is not the document's own, which would answer `fetch`. */
function storeKey(url: URL): string {
  const key = new URL(url)
  key.searchParams.set('countersign', 'jwks')
  key.hash = ''
  return key.href
}
