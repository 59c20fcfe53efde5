import type { DocumentKind, FetchedDocument, Received, RemoteSettings } from './documents.js'
import { refuseForWantOfKeys, type VerifyError } from './errors.js'
import { inWords } from './in-words.js'
import { decoder } from './text.js'
import { TIMED_OUT, withTimeout } from './timing.js'

/** 1000 keys of 4096 bits are about 800 KiB. */
export const MAX_DOCUMENT_BYTES = 1024 * 1024

/** Asks caches on the way to revalidate, because the document may have changed. Next.js would cache the response without it. */
const REQUEST: RequestInit = {
  headers: { accept: 'application/jwk-set+json, application/json' },
  cache: 'no-cache',
  // Browsers do not show where a redirect leads, and a key set has no reason to move.
  redirect: 'manual',
}

/** The lifetime of a document whose response names none: seconds. */
const DEFAULT_TTL = 600

/**
 * Fetches a document. `known` is the cached one, which is returned with a new lifetime if the endpoint answers 304. The text
 * is JSON, or as `isReadable` demands, but may be no document of this kind.
 *
 * @throws {@link VerifyError} - `jwks_unavailable`. After a timeout its cause is {@link TIMED_OUT}.
 */
export async function fetchDocument(
  kind: DocumentKind,
  url: URL,
  settings: RemoteSettings,
  known: FetchedDocument | undefined,
  isReadable = isJson,
): Promise<FetchedDocument> {
  const { timeoutMs, fetch = globalThis.fetch, servers } = settings
  const received: Received = {}
  let cause: unknown
  try {
    const document = await withTimeout(timeoutMs, async (signal) => {
      const response = await fetch(url.href, { ...(servers?.revalidating(REQUEST, known) ?? REQUEST), signal: signal as AbortSignal })
      received.response = response
      const { status, headers } = response
      const reader = cancelledWith(signal, response)
      const ttl = freshFor(headers, settings)
      if (status !== 200) return servers?.notModified(response, known, ttl)
      const text = (received.text = await read(response, reader))
      return isReadable(text) ? { text, ttl: ttl ?? clamp(DEFAULT_TTL, settings), etag: servers?.etagOf(response) } : undefined
    })
    if (document !== undefined) return document
  } catch (error) {
    cause = error
  }
  // Without a network, there are no words either.
  const problem =
    cause === TIMED_OUT
      ? `no complete response within ${timeoutMs} ms`
      : await inWords(
          (words) => words.problemOfFetch(kind, url, received, cause),
          cause === undefined ? 'the response cannot be used' : 'the network request failed',
        )
  throw refuseDocument(kind, url, problem, cause)
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

/** Returns the response's lifetime (RFC 9111 §4.2), if it names one: `max-age` less `Age`, in seconds. */
function freshFor(headers: Headers, settings: RemoteSettings): number | undefined {
  const control = headers.get('cache-control') ?? ''
  if (/(?:^|[\s,])no-(?:store|cache)\b/i.test(control)) return settings.minTtl
  const maxAge = /(?:^|[\s,])max-age\s*=\s*"?(\d+)/i.exec(control)?.[1]
  if (maxAge === undefined) return undefined
  return clamp(Number(maxAge) - (Number(headers.get('age')) || 0), settings)
}

function isJson(text: string | undefined): text is string {
  try {
    JSON.parse(text as string)
    return true
  } catch {
    return false
  }
}
