import { clamp, MAX_SET_BYTES, readEtag } from './fetch-keys.js'
import type { LoadedSet } from './jwks.js'
import type { RemoteSettings } from './options.js'
import type { KeyStore } from './types.js'
import { withinTime } from './within-time.js'

/** Has the set in the caller's store used, where there is one and it is in order. `use` may throw; nobody will know. */
export function readStored(url: URL, settings: RemoteSettings, now: number, use: (set: LoadedSet) => void): Promise<void> {
  return withStore(settings, async (store) => {
    const value = await store.get(keyOf(url))
    // Text within JSON is longer, by its escapes.
    if (typeof value !== 'string' || value.length > 2 * MAX_SET_BYTES) return
    const { text, at, ttl: given, etag } = JSON.parse(value)
    if (typeof text !== 'string' || text.length > MAX_SET_BYTES || typeof at !== 'number') return
    const ttl = clamp(given, settings)
    if (at <= now && now < at + ttl + settings.staleIfError) use({ text, at, ttl, etag: readEtag(etag) })
  })
}

/** Puts a set into the caller's store. */
export function writeStored(url: URL, settings: RemoteSettings, set: LoadedSet): Promise<void> {
  return withStore(settings, (store) => store.put(keyOf(url), JSON.stringify(set)))
}

/** A store may fail, and take as long as a fetch; what it does not have is fetched. */
async function withStore({ store, timeoutMs }: RemoteSettings, work: (store: KeyStore) => Promise<unknown>): Promise<void> {
  try {
    if (store !== undefined) await withinTime(timeoutMs, () => work(store))
  } catch {
    // As above.
  }
}

/** A URL, because the Cache API of Workers takes no other keys; and another one, because there it would answer `fetch`. */
function keyOf(url: URL): string {
  const key = new URL(url)
  key.searchParams.set('countersign', 'jwks')
  key.hash = ''
  return key.href
}
