import type { CacheEntry, RemoteSettings } from './documents.js'

/** The part of a document's lifetime after which it may be renewed ahead of time. */
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
