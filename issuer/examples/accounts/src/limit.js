import { isIPv6 } from 'node:net'

/**
 * Limits requests by key: `requests` at once, and then as many in `seconds` at even intervals (GCRA). Knows at most `keys` keys,
 * and forgets the one that came least recently.
 */
export function createLimit({ requests, seconds, keys = 10_000 }) {
  const interval = seconds / requests
  /** For each key the time at which all its requests are forgotten. */
  const ends = new Map()
  return {
    /** Counts a request. Returns the seconds to wait: 0 if the request may pass. A refused one is not counted. */
    take(key, now = performance.now() / 1000) {
      const end = Math.max(ends.get(key) ?? now, now)
      const wait = end + interval - seconds - now
      if (wait > 0) return Math.ceil(wait)
      ends.delete(key)
      ends.set(key, end + interval)
      if (ends.size > keys) ends.delete(ends.keys().next().value)
      return 0
    },
  }
}

/** Returns the network that an address counts for: an IPv4 address itself, or an IPv6 /64, which one customer has. */
export function networkOf(address) {
  const ipv4 = /^::ffff:([\d.]+)$/i.exec(address)?.[1]
  if (ipv4 !== undefined || !isIPv6(address)) return ipv4 ?? address
  const [head, tail] = address.replace(/%.*/, '').split('::')
  const groups = head === '' ? [] : head.split(':')
  const missing = tail === undefined ? 0 : 8 - groups.length - (tail === '' ? 0 : tail.split(':').length)
  return [...groups, ...Array(missing).fill('0'), ...(tail ?? '').split(':')].slice(0, 4).map((group) => parseInt(group, 16)).join(':')
}
