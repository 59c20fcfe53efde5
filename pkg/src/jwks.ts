import { refuseForWantOfKeys, VerifyError } from './errors.js'
import type { RemoteSettings } from './options.js'

/** 64 keys of 8192 bits are about 100 KiB. */
const MAX_RESPONSE_BYTES = 256 * 1024

/** How long a set is fresh whose response does not say: seconds. */
const DEFAULT_TTL = 600

/** Fetches a key set and knows when to fetch it again. One fetch is in flight at most; whoever wants one shares it. */
export class RemoteKeySet {
  readonly #url: URL
  readonly #settings: RemoteSettings
  readonly #fetch: typeof globalThis.fetch | undefined
  readonly #now: () => number
  readonly #install: (text: string) => void

  #flight: Promise<void> | undefined
  #loaded: { at: number; ttl: number } | undefined
  #failedAt: number | undefined
  #missedAt: number | undefined

  /** `install` takes the text of a response and throws, with the keys in use kept, where it is no JWK Set. */
  constructor(
    url: URL,
    settings: RemoteSettings,
    fetch: typeof globalThis.fetch | undefined,
    now: () => number,
    install: (text: string) => void,
  ) {
    this.#url = url
    this.#settings = settings
    this.#fetch = fetch
    this.#now = now
    this.#install = install
  }

  /**
   * Fetches where that can change the verdict on a token, given the refusal by the keys in use (`undefined`: it passed).
   * Answers whether the keys were replaced. Throws only where there are no keys to go on with.
   */
  async renewFor(refusal: unknown): Promise<boolean> {
    if (refusal !== undefined && !reachedTheKeys(refusal)) return false
    const missed = refusal instanceof VerifyError && refusal.code === 'key_not_found'
    if (!this.#due() && !(missed && this.#mayAskForMiss())) return false
    try {
      await this.refresh()
      return true
    } catch (error) {
      if (this.#loaded === undefined) throw error
      return false
    }
  }

  /** Fetches now, or waits for the fetch under way. */
  refresh(): Promise<void> {
    this.#flight ??= this.#load().finally(() => {
      this.#flight = undefined
    })
    return this.#flight
  }

  /** Whether the set in use is missing or past its time, and no attempt to renew it failed just now. */
  #due(): boolean {
    if (this.#loaded === undefined) return true
    const now = this.#now()
    return !within(this.#loaded.at, this.#loaded.ttl, now) && !within(this.#failedAt, this.#settings.cooldown, now)
  }

  /** Lets one miss through each cooldown, and with it those that come while its fetch is under way. */
  #mayAskForMiss(): boolean {
    if (this.#flight !== undefined) return true
    const now = this.#now()
    if (within(this.#missedAt, this.#settings.cooldown, now)) return false
    this.#missedAt = now
    return true
  }

  async #load(): Promise<void> {
    const at = this.#now()
    try {
      const { headers, text } = await this.#get()
      this.#install(text)
      const { minTtl, maxTtl } = this.#settings
      this.#loaded = { at, ttl: Math.min(Math.max(freshFor(headers), minTtl), maxTtl) }
      this.#failedAt = undefined
    } catch (error) {
      this.#failedAt = at
      throw error
    }
  }

  async #get(): Promise<{ headers: Headers; text: string }> {
    const { timeoutMs } = this.#settings
    const abort = new AbortController()
    let timer: ReturnType<typeof setTimeout> | undefined
    const timeout = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(this.#unavailable(`no whole answer within ${timeoutMs} ms`)), timeoutMs)
    })
    try {
      // The race also ends a `fetch` of the caller's that takes no notice of the signal.
      return await Promise.race([this.#exchange(abort.signal), timeout])
    } catch (error) {
      if (error instanceof VerifyError) throw error
      throw this.#unavailable(networkCause(error), error)
    } finally {
      clearTimeout(timer)
      abort.abort()
    }
  }

  async #exchange(signal: AbortSignal): Promise<{ headers: Headers; text: string }> {
    const fetch = this.#fetch ?? globalThis.fetch
    const response = await fetch(this.#url.href, {
      headers: { accept: 'application/jwk-set+json, application/json' },
      // A browser's own cache must not answer for a set that was asked for because it may have changed.
      cache: 'no-cache',
      // Followed by hand it could not be in a browser, and a key set has no reason to move.
      redirect: 'manual',
      signal,
    })
    if (response.type === 'opaqueredirect' || (response.status >= 300 && response.status < 400)) {
      throw this.#unavailable('a redirect; give the URL that it leads to')
    }
    if (response.status !== 200) throw this.#unavailable(`HTTP status ${response.status}; expected 200`)
    const text = await this.#read(response)
    if (!isJson(text)) {
      const type = /^[\w.+-]+\/[\w.+-]+/.exec(response.headers.get('content-type') ?? '')?.[0] ?? 'no content type'
      throw this.#unavailable(`an answer that is not JSON (${type}); expected a JWK Set`)
    }
    return { headers: response.headers, text }
  }

  async #read(response: Response): Promise<string> {
    const decoder = new TextDecoder('utf-8', { ignoreBOM: true })
    const reader = response.body?.getReader()
    let text = ''
    let size = 0
    for (;;) {
      const chunk = await reader?.read()
      if (chunk === undefined || chunk.done) return text + decoder.decode()
      size += chunk.value.byteLength
      if (size > MAX_RESPONSE_BYTES) throw this.#unavailable(`an answer of more than ${MAX_RESPONSE_BYTES / 1024} KiB`)
      text += decoder.decode(chunk.value, { stream: true })
    }
  }

  /** Names origin and path alone: a query may hold a secret. */
  #unavailable(what: string, cause?: unknown): VerifyError {
    return refuseForWantOfKeys(`no key set from ${this.#url.origin}${this.#url.pathname}: ${what}`, cause)
  }
}

/** Whether `now` is in the span that began at `start`. A clock that was set back ends every span. */
function within(start: number | undefined, seconds: number, now: number): boolean {
  return start !== undefined && now >= start && now < start + seconds
}

/** Whether the verifier got as far as to want a key: no fetch is worth a token that no key can save. */
function reachedTheKeys(refusal: unknown): boolean {
  return refusal instanceof VerifyError && !['options', 'parse', 'header'].includes(refusal.stage)
}

/** How long a response is fresh (RFC 9111 §4.2): `max-age` less `Age`, in seconds. */
function freshFor(headers: Headers): number {
  const control = headers.get('cache-control') ?? ''
  if (/(?:^|[\s,])no-(?:store|cache)\b/i.test(control)) return 0
  const maxAge = /(?:^|[\s,])max-age\s*=\s*"?(\d+)/i.exec(control)?.[1]
  if (maxAge === undefined) return DEFAULT_TTL
  const age = /^\s*(\d+)\s*$/.exec(headers.get('age') ?? '')?.[1]
  return Number(maxAge) - Number(age ?? 0)
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
  return typeof code === 'string' ? `the network request failed (${code})` : 'the network request failed'
}
