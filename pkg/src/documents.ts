import type { JwksOptions } from './types.js'

/** The kinds of documents, as messages name them. */
export type DocumentKind = 'key set' | 'metadata' | 'status list'

/** The text of a fetched document, with its caching headers. */
export interface FetchedDocument {
  readonly text: string
  /** Its lifetime: seconds, within `minTtl` and `maxTtl`. */
  readonly ttl: number
  readonly etag: string | undefined
}

/** Fetches a document. `known` is the cached one, which may be returned with a new lifetime. */
export type FetchDocument = (
  kind: DocumentKind,
  url: URL,
  settings: RemoteSettings,
  known: FetchedDocument | undefined,
) => Promise<FetchedDocument>

/** A fetched document as it is cached, in memory and in the caller's store. */
export interface CacheEntry extends FetchedDocument {
  /** The time at which it was requested: seconds since the UNIX epoch. */
  at: number
}

/** The WebAssembly module with its keys, or a status list. */
export interface Holder {
  /** Takes a document. If it is refused, the one in use stays. Returns true if the document can be used. */
  setKeys(text: string, entry: CacheEntry): boolean
  /** Drops the document. */
  dropKeys(): void
}

/** The part of a response that was received before a failure. */
export interface Received {
  response?: Response
  text?: string | undefined
}

/** The caller's store, with an entry under the URL of its document. */
export interface EntryStore {
  /** Reads the entry, if there is one that can still be used. The text may be of another kind. */
  read(url: URL, now: number): Promise<CacheEntry | undefined>
  /** Writes the entry. */
  write(url: URL, entry: CacheEntry): Promise<void>
}

/** {@link JwksOptions} with their defaults, and the option `fetch`. */
export interface RemoteSettings extends Pick<JwksOptions, 'onError' | 'waitUntil'> {
  fetch?: typeof globalThis.fetch | undefined
  timeoutMs: number
  minTtl: number
  maxTtl: number
  staleIfError: number
  cooldown: number
  store?: EntryStore | undefined
  allowHttp: boolean
  /** Undefined in the entry point for browsers. */
  servers?: Servers | undefined
}

/** The source of a key set. */
export type Origin = 'store' | 'endpoint'

/** An attempt to get a key set. */
export interface Attempt {
  readonly startedAt: number
  /** `endpoint` after a fetch that succeeded. */
  origin: Origin
  error?: unknown
  /** Settles with the attempt. */
  done?: Promise<void>
  /** Settles when the store has the set, and the metadata. */
  stored?: Promise<unknown>
}

/** The ways in which servers fetch documents: they have no HTTP cache, and Workers end their attempts early. */
export interface Servers {
  /** Returns the request for a document of which an older one is known. */
  revalidating(request: RequestInit, known: FetchedDocument | undefined): RequestInit
  /** Returns the known document if the response says that it has not changed; `ttl` is the response's lifetime. */
  notModified(response: Response, known: FetchedDocument | undefined, ttl: number | undefined): FetchedDocument | undefined
  /** Returns the entity tag of a response. */
  etagOf(response: Response): string | undefined
  /** Waits for the end of an attempt. Returns `undefined` if it must have died. */
  waitFor(attempt: Attempt, isReplaced: () => boolean): Promise<Attempt | undefined>
}

/** The metadata that names the URL of a key set. */
export interface KeySetLocation {
  /** Returns the URL in the cached metadata, or else in the stored one. */
  stored(now: number): Promise<URL | undefined>
  /**
   * Returns the URL in the metadata. Fetches the metadata if there is none, if it is due, or `again`: after a failure the key
   * set may have moved. If that fails, the old metadata stays in use for `staleIfError`.
   *
   * @throws {@link VerifyError} - `jwks_unavailable`
   */
  locate(now: number, again: boolean): Promise<Location>
}

/** The URL of a key set. `written` settles when the store has the metadata. `fetch` fetches a document that is no key set. */
export interface Location {
  readonly url: URL
  readonly written?: Promise<void> | undefined
  readonly fetch?: FetchDocument | undefined
}
