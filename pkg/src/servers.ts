import type { Attempt, FetchedDocument, Servers } from './documents.js'
import { readEtag } from './etag.js'
import { inBrowser, inWorkers } from './runtime.js'

/** How a request of a Worker polls for the end of another request's attempt. */
const POLL_INTERVAL_MS = 50
const MAX_POLLS = 20

/** The entry point for browsers does without, and has a smaller script. Other entry points also run in browsers. */
export const servers: Servers = { revalidating, notModified, etagOf, waitFor }

/**
 * In browsers, the HTTP cache sends its own entity tag and turns the 304 into a 200. A header `If-None-Match` of ours would
 * cause a CORS preflight, which few endpoints answer. Workers have no HTTP cache, and refuse `cache` if their compatibility
 * date is before 2025.
 */
function revalidating({ cache, headers, ...request }: RequestInit, known: FetchedDocument | undefined): RequestInit {
  const etag = inBrowser() ? undefined : known?.etag
  return { ...request, headers: { ...headers, ...(etag && { 'if-none-match': etag }) }, ...(cache && !inWorkers() && { cache }) }
}

function notModified({ status, headers }: Response, known: FetchedDocument | undefined, ttl: number | undefined): FetchedDocument | undefined {
  if (status !== 304 || known?.etag === undefined) return undefined
  return { text: known.text, ttl: ttl ?? known.ttl, etag: readEtag(headers.get('etag')) ?? known.etag }
}

function etagOf({ headers }: Response): string | undefined {
  return readEtag(headers.get('etag'))
}

async function waitFor(attempt: Attempt, isReplaced: () => boolean): Promise<Attempt | undefined> {
  if (!inWorkers()) {
    await attempt.done
    return attempt
  }
  // A Worker's request can end before its attempt does, whose promise then never settles. So other requests poll.
  for (let polls = 0; polls < MAX_POLLS; polls++) {
    await new Promise((resolve) => setTimeout(resolve, POLL_INTERVAL_MS))
    if (attempt.error !== undefined) throw attempt.error
    // If another request took over, there may be keys already: like those from the store, they are tried before a fetch.
    if (isReplaced()) return { startedAt: attempt.startedAt, origin: attempt.origin }
  }
  return undefined
}
