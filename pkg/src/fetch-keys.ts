import { refuseForWantOfKeys, VerifyError } from './errors.js'
import { WHERE_SETS_ARE, type RemoteSettings } from './options.js'
import { TIMED_OUT, withinTime } from './within-time.js'

/** The text of a key set as it came, and what the response says of it. */
export interface FetchedSet {
  readonly text: string
  /** How long it is fresh: seconds, within the bounds that the settings give. */
  readonly ttl: number
  readonly etag: string | undefined
}

/** What {@link runtime} is in Cloudflare Workers. */
export const WORKERS = 'Cloudflare-Workers'

/** What the runtime calls itself. All browsers begin with `Mozilla/`, and nothing else does. */
export function runtime(): string {
  return globalThis.navigator?.userAgent ?? ''
}

/** 64 keys of 8192 bits are about 100 KiB. */
export const MAX_SET_BYTES = 256 * 1024

/** How long a set is fresh whose response does not say: seconds. */
const DEFAULT_TTL = 600

/**
 * Fetches a key set. `known` is the set in use: where the endpoint says that it still is the one, it is answered with a
 * new lifetime. Whether the text is a JWK Set is not looked at, but for being JSON.
 *
 * @throws {@link VerifyError} - `jwks_unavailable`
 */
export async function fetchKeySet(
  url: URL,
  settings: RemoteSettings,
  known: FetchedSet | undefined,
): Promise<FetchedSet> {
  const { timeoutMs, fetch = globalThis.fetch } = settings
  /** Names origin and path alone: a query may hold a secret. */
  const unavailable = (what: string, cause?: unknown) =>
    refuseForWantOfKeys(`no key set from ${url.origin}${url.pathname}: ${what}`, cause)

  try {
    return await withinTime(timeoutMs, async (signal) => {
      const response = await fetch(url.href, { ...requestFor(known), signal })
      const { status, headers } = response
      const ttl = freshFor(headers, settings)
      const etag = readEtag(headers.get('etag'))
      if (status === 304 && known?.etag !== undefined) {
        return { text: known.text, ttl: ttl ?? known.ttl, etag: etag ?? known.etag }
      }
      // A browser tells a redirect by a status of 0.
      if (status === 0 || (status >= 300 && status < 400)) {
        throw unavailable('a redirect; give the URL that it leads to')
      }
      if (status !== 200) throw unavailable(`HTTP status ${status}; expected 200`)
      const text = await read(response)
      if (text === undefined) throw unavailable(`an answer of more than ${MAX_SET_BYTES / 1024} KiB`)
      if (!isJson(text)) {
        const type = /^[\w.+-]+\/[\w.+-]+/.exec(headers.get('content-type') ?? '')?.[0] ?? 'no content type'
        const what = /^\s*</.test(text) ? 'HTML or XML, not JSON' : 'not JSON'
        throw unavailable(`an answer that is ${what} (${type}); expected ${WHERE_SETS_ARE}`)
      }
      return { text, ttl: ttl ?? clamp(DEFAULT_TTL, settings), etag }
    })
  } catch (error) {
    if (error instanceof VerifyError) throw error
    throw unavailable(error === TIMED_OUT ? `no whole answer within ${timeoutMs} ms` : networkCause(error), error)
  }
}

/** Within the bounds that the settings give for a lifetime. */
export function clamp(ttl: number, { minTtl, maxTtl }: RemoteSettings): number {
  return Math.min(Math.max(ttl, minTtl), maxTtl)
}

/** The entity tag (RFC 9110 §8.8.3), where it is one that can be sent back. */
export function readEtag(value: unknown): string | undefined {
  return typeof value === 'string' && /^(?:W\/)?"[!#-~]{0,256}"$/.test(value) ? value : undefined
}

/**
 * A set is asked for because it may have changed: no cache in between may answer without asking.
 *
 * A browser's own cache asks with the entity tag that it has, and makes a 200 of the 304. One in a header of ours would
 * bring on a CORS preflight, which few of these endpoints answer. Workers have no such cache, and refuse `cache` where
 * their compatibility date is before 2025; so does no other runtime, and Next.js would keep the response without it.
 */
function requestFor(known: FetchedSet | undefined): RequestInit {
  const etag = runtime().startsWith('Mozilla/') ? undefined : known?.etag
  return {
    headers: { accept: 'application/jwk-set+json, application/json', ...(etag && { 'if-none-match': etag }) },
    ...(runtime() !== WORKERS && { cache: 'no-cache' as const }),
    // Followed by hand it could not be in a browser, and a key set has no reason to move.
    redirect: 'manual',
  }
}

async function read(response: Response): Promise<string | undefined> {
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true })
  const reader = response.body?.getReader()
  let text = ''
  let size = 0
  for (;;) {
    const chunk = await reader?.read()
    if (chunk === undefined || chunk.done) return text + decoder.decode()
    size += chunk.value.byteLength
    if (size > MAX_SET_BYTES) return undefined
    text += decoder.decode(chunk.value, { stream: true })
  }
}

/** How long a response is fresh (RFC 9111 §4.2), where it says: `max-age` less `Age`, in seconds. */
function freshFor(headers: Headers, settings: RemoteSettings): number | undefined {
  const control = headers.get('cache-control') ?? ''
  if (/(?:^|[\s,])no-(?:store|cache)\b/i.test(control)) return settings.minTtl
  const maxAge = /(?:^|[\s,])max-age\s*=\s*"?(\d+)/i.exec(control)?.[1]
  if (maxAge === undefined) return undefined
  return clamp(Number(maxAge) - (Number(headers.get('age')) || 0), settings)
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

/** Why the network gave nothing, without the runtime's message: that may quote the URL, query and all. */
function networkCause(error: unknown): string {
  const code = (error as { cause?: { code?: unknown } } | undefined)?.cause?.code
  return `the network request failed${typeof code === 'string' ? ` (${code})` : ''}`
}
