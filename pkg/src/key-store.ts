import { clamp, MAX_SET_BYTES, readEtag, type FetchedSet } from './fetch-keys.js'
import type { RemoteSettings } from './options.js'
import { withTimeout } from './timing.js'
import type { KeyStore } from './types.js'

/** A fetched key set as it is cached, in memory and in the caller's store. */
export interface CacheEntry extends FetchedSet {
  /** The time at which it was requested: seconds since the UNIX epoch. */
  at: number
}

/** Reads the entry from the caller's store, if there is one that can still be used. The text may be no JWK Set. */
export function readStored(url: URL, settings: RemoteSettings, now: number): Promise<CacheEntry | undefined> {
  return withStore(settings, async (store) => {
    const value = await store.get(storeKey(url))
    // The text is escaped inside of JSON, which makes it longer.
    if (typeof value !== 'string' || value.length > 2 * MAX_SET_BYTES) return undefined
    const { text, at, ttl: storedTtl, etag } = JSON.parse(value)
    if (typeof text !== 'string' || text.length > MAX_SET_BYTES || typeof at !== 'number') return undefined
    const ttl = clamp(storedTtl, settings)
    return at <= now && now < at + ttl + settings.staleIfError ? { text, at, ttl, etag: readEtag(etag) } : undefined
  })
}

/** Writes the entry to the caller's store. */
export async function writeStored(url: URL, settings: RemoteSettings, entry: CacheEntry): Promise<void> {
  await withStore(settings, (store) => store.put(storeKey(url), JSON.stringify(entry)))
}

/** Resolves to `undefined` if the store fails or takes too long: its loss costs one fetch. */
async function withStore<T>({ store, timeoutMs }: RemoteSettings, work: (store: KeyStore) => Promise<T>): Promise<T | undefined> {
  try {
    return store && (await withTimeout(timeoutMs, () => work(store)))
  } catch {
    return undefined
  }
}

/** The key is a URL because the Cache API of Workers takes no other keys. It is not the set's own, which would answer `fetch`. */
function storeKey(url: URL): string {
  const key = new URL(url)
  key.searchParams.set('countersign', 'jwks')
  key.hash = ''
  return key.href
}
