import { clamp, MAX_DOCUMENT_BYTES, readEtag, type FetchedDocument } from './fetch-document.js'
import type { RemoteSettings } from './options.js'
import { withTimeout } from './timing.js'
import type { KeyStore } from './types.js'

/** A fetched document as it is cached, in memory and in the caller's store. */
export interface CacheEntry extends FetchedDocument {
  /** The time at which it was requested: seconds since the UNIX epoch. */
  at: number
}

/** The part of a document's lifetime after which it is renewed ahead of time. */
export const RENEW_AHEAD = 0.8

/** Returns the age of an entry as a part of its lifetime. Without an entry it is infinite. */
export function ageOf(entry: CacheEntry | undefined, now: number): number {
  return entry === undefined ? Infinity : (now - entry.at) / entry.ttl
}

/** Returns the entry, or `undefined` if it is too old: past its lifetime and `staleIfError`. */
export function usable<Entry extends CacheEntry>(
  entry: Entry | undefined,
  now: number,
  { staleIfError }: RemoteSettings,
): Entry | undefined {
  if (entry === undefined) return undefined
  // The age is unknown if the clock was set back. The lifetime then ends now.
  if (now < entry.at) entry.at = now - entry.ttl
  return now < entry.at + entry.ttl + staleIfError ? entry : undefined
}

/** Reads the entry from the caller's store, if there is one that can still be used. The text may be of another kind. */
export function readStored(url: URL, settings: RemoteSettings, now: number): Promise<CacheEntry | undefined> {
  return withStore(settings, async (store) => {
    const value = await store.get(storeKey(url))
    // The text is escaped inside of JSON, which makes it longer.
    if (typeof value !== 'string' || value.length > 2 * MAX_DOCUMENT_BYTES) return undefined
    const { text, at, ttl: storedTtl, etag } = JSON.parse(value)
    if (typeof text !== 'string' || text.length > MAX_DOCUMENT_BYTES || typeof at !== 'number') return undefined
    const ttl = clamp(storedTtl, settings)
    return at <= now ? usable({ text, at, ttl, etag: readEtag(etag) }, now, settings) : undefined
  })
}

/** Writes the entry to the caller's store. */
export async function writeStored(url: URL, settings: RemoteSettings, { text, at, ttl, etag }: CacheEntry): Promise<void> {
  await withStore(settings, (store) => store.put(storeKey(url), JSON.stringify({ text, at, ttl, etag })))
}

/** Resolves to `undefined` if the store fails or takes too long: its loss costs one fetch. */
async function withStore<T>({ store, timeoutMs }: RemoteSettings, work: (store: KeyStore) => Promise<T>): Promise<T | undefined> {
  try {
    return store && (await withTimeout(timeoutMs, () => work(store)))
  } catch {
    return undefined
  }
}

/** The key is a URL because the Cache API of Workers takes no other keys. It is not the document's own, which would answer `fetch`. */
function storeKey(url: URL): string {
  const key = new URL(url)
  key.searchParams.set('countersign', 'jwks')
  key.hash = ''
  return key.href
}
