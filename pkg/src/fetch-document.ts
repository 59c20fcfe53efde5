import { refuseForWantOfKeys, VerifyError } from './errors.js'
import { inWords } from './in-words.js'
import type { RemoteSettings } from './options.js'
import { decoder } from './text.js'
import { TIMED_OUT, withTimeout } from './timing.js'

/** The text of a fetched JSON document, with its caching headers. */
export interface FetchedDocument {
  readonly text: string
  /** Its lifetime: seconds, within `minTtl` and `maxTtl`. */
  readonly ttl: number
  readonly etag: string | undefined
}

/** The kinds of documents, as messages name them. */
export type DocumentKind = 'key set' | 'metadata'

/** The value of {@link runtime} in Cloudflare Workers. */
export const WORKERS = 'Cloudflare-Workers'

/** Returns the runtime's user agent. It begins with `Mozilla/` in browsers, and nowhere else. */
export function runtime(): string {
  return globalThis.navigator?.userAgent ?? ''
}

function inBrowser(): boolean {
  return runtime().startsWith('Mozilla/')
}

/** 1000 keys of 4096 bits are about 800 KiB. */
export const MAX_DOCUMENT_BYTES = 1024 * 1024

/** The lifetime of a document whose response names none: seconds. */
const DEFAULT_TTL = 600

/**
 * Fetches a document. `known` is the cached one, which is returned with a new lifetime if the endpoint answers 304. The text
 * is JSON, but may be no document of this kind.
 *
 * @throws {@link VerifyError} - `jwks_unavailable`. After a timeout its cause is {@link TIMED_OUT}.
 */
export async function fetchDocument(
  kind: DocumentKind,
  url: URL,
  settings: RemoteSettings,
  known: FetchedDocument | undefined,
): Promise<FetchedDocument> {
  const { timeoutMs, fetch = globalThis.fetch } = settings
  const unavailable = (problem: string, cause?: unknown) => refuseDocument(kind, url, problem, cause)

  try {
    return await withTimeout(timeoutMs, async (signal) => {
      const response = await fetch(url.href, { ...requestFor(known), signal: signal as AbortSignal })
      const { status, headers } = response
      const reader = cancelledWith(signal, response)
      const ttl = freshFor(headers, settings)
      const etag = readEtag(headers.get('etag'))
      if (status === 304 && known?.etag !== undefined) {
        return { text: known.text, ttl: ttl ?? known.ttl, etag: etag ?? known.etag }
      }
      // Browsers report a redirect as status 0.
      if (status === 0 || (status >= 300 && status < 400)) {
        throw unavailable(`the response is a redirect${targetOf(headers.get('location'), url)}; give the final ${kind === 'metadata' ? 'issuer, or jwks' : 'URL'}`)
      }
      if (status !== 200) throw unavailable(`HTTP status ${status}; expected 200`)
      const text = await read(response, reader)
      if (text === undefined) throw unavailable('the response is more than 1 MiB')
      if (!isJson(text)) {
        throw unavailable(await inWords((words) => words.problemOfText(kind, text, headers.get('content-type'))))
      }
      return { text, ttl: ttl ?? clamp(DEFAULT_TTL, settings), etag }
    })
  } catch (error) {
    if (error instanceof VerifyError) throw error
    throw unavailable(error === TIMED_OUT ? `no complete response within ${timeoutMs} ms` : networkCause(error), error)
  }
}

/** Makes the error for a document that cannot be used. The message has the URL without its query, which may hold a secret. */
export function refuseDocument(kind: DocumentKind, { origin, pathname }: URL, problem: string, cause?: unknown): VerifyError {
  return refuseForWantOfKeys(`no ${kind} from ${origin}${pathname}: ${problem}`, cause)
}

/** Tells the caller of a failed fetch. Ignores an exception and a rejected promise of the caller's function. */
export function report(error: unknown, { onError }: RemoteSettings): void {
  ;(async () => onError?.(error as VerifyError))().catch(() => {})
}

/** Brings a lifetime within `minTtl` and `maxTtl`. */
export function clamp(ttl: number, { minTtl, maxTtl }: RemoteSettings): number {
  return Math.min(Math.max(ttl, minTtl), maxTtl)
}

/** Returns the entity tag (RFC 9110 §8.8.3) if it can be sent back. */
export function readEtag(value: unknown): string | undefined {
  return typeof value === 'string' && /^(?:W\/)?"[!#-~]{0,256}"$/.test(value) ? value : undefined
}

/**
 * Asks caches on the way to revalidate, because the document may have changed.
 *
 * In browsers, the HTTP cache sends its own entity tag and turns the 304 into a 200. A header `If-None-Match` of ours would
 * cause a CORS preflight, which few endpoints answer. Workers have no HTTP cache, and refuse `cache` if their compatibility
 * date is before 2025. Next.js would cache the response without it.
 */
function requestFor(known: FetchedDocument | undefined): RequestInit {
  const etag = inBrowser() ? undefined : known?.etag
  return {
    headers: { accept: 'application/jwk-set+json, application/json', ...(etag && { 'if-none-match': etag }) },
    ...(runtime() !== WORKERS && { cache: 'no-cache' as const }),
    // Browsers do not show where a redirect leads, and a key set has no reason to move.
    redirect: 'manual',
  }
}

type Reader = ReadableStreamDefaultReader<Uint8Array>

/** Returns the reader of the body. It is cancelled once the work is over, even if the caller's `fetch` ignores the signal. */
function cancelledWith(signal: AbortSignal | undefined, { body }: Response): Reader | undefined {
  const reader = body?.getReader()
  const cancel = () => void reader?.cancel().catch(() => {})
  if (signal?.aborted) cancel()
  signal?.addEventListener('abort', cancel)
  return reader
}

async function read(response: Response, reader: Reader | undefined): Promise<string | undefined> {
  if (reader === undefined) {
    // React Native has no streams.
    const text = await response.text()
    return text.length > MAX_DOCUMENT_BYTES ? undefined : text
  }
  const bytes = new Uint8Array(MAX_DOCUMENT_BYTES)
  let size = 0
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return decoder.decode(bytes.subarray(0, size)).replace(/^\ufeff/, '')
    if (size + value.byteLength > MAX_DOCUMENT_BYTES) return undefined
    bytes.set(value, size)
    size += value.byteLength
  }
}

/** Names the target of a redirect without its query. Browsers hide it. */
function targetOf(location: string | null, from: URL): string {
  try {
    if (location === null) return ''
    const { origin, pathname } = new URL(location, from)
    return ` to ${origin}${pathname}`
  } catch {
    return ''
  }
}

/** Returns the response's lifetime (RFC 9111 §4.2), if it names one: `max-age` less `Age`, in seconds. */
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

/** Describes a network error without the runtime's message, which may quote the URL with its query. */
function networkCause(error: unknown): string {
  if (inBrowser()) return `the network request failed; a likely cause is CORS: the response must have Access-Control-Allow-Origin`
  const code = (error as { cause?: { code?: unknown } } | undefined)?.cause?.code
  return `the network request failed${typeof code === 'string' ? ` (${code})` : ''}`
}
