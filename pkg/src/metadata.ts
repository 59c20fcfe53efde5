import type { CacheEntry, FetchedDocument, KeySetLocation, Location, RemoteSettings } from './documents.js'
import type { VerifyError } from './errors.js'
import type { Tools } from './tools.js'
import { isFetchable } from './urls.js'

/** Metadata as it is cached, with the key set's URL that it names. */
interface Entry extends CacheEntry {
  readonly jwksUri: URL
}

/**
 * Finds the URL of an issuer's key set in the issuer's metadata, which it caches like a key set. The caller makes sure that
 * calls do not overlap, and backs off after a failure. Times are in seconds.
 */
export class Metadata implements KeySetLocation {
  readonly #issuer: string
  readonly #settings: RemoteSettings
  readonly #tools: Tools
  /** The well-known URLs. The one that answered last is the first. */
  #urls: readonly [URL, URL]
  /** Its key in the store. */
  readonly #name: URL
  #entry: Entry | undefined

  constructor(issuer: string, settings: RemoteSettings, tools: Tools) {
    this.#issuer = issuer
    this.#settings = settings
    this.#tools = tools
    this.#urls = wellKnown(new URL(issuer))
    this.#name = this.#urls[0]
  }

  async stored(now: number): Promise<URL | undefined> {
    this.#entry = this.#tools.usable(this.#entry, now, this.#settings)
    const stored = this.#entry ?? (await this.#settings.store?.read(this.#name, now))
    try {
      this.#entry = stored && (await this.#read(this.#name, stored))
    } catch {
      // A stored text that is not the issuer's metadata is ignored.
    }
    return this.#entry?.jwksUri
  }

  async locate(now: number, again: boolean): Promise<Location> {
    const { ageOf, RENEW_AHEAD, report, usable } = this.#tools
    const known = usable(this.#entry, now, this.#settings)
    if (known !== undefined && !again && ageOf(known, now) < RENEW_AHEAD) return { url: known.jwksUri }
    try {
      const entry = await this.#fetch(now, known)
      this.#entry = entry
      return { url: entry.jwksUri, written: this.#settings.store?.write(this.#name, entry) }
    } catch (error) {
      if (known === undefined) throw error
      report(error, this.#settings)
      return { url: known.jwksUri }
    }
  }

  /** Asks one well-known URL after the other. Some issuers answer the wrong one with a page, a redirect or no CORS headers. */
  async #fetch(now: number, known: Entry | undefined): Promise<Entry> {
    const { TIMED_OUT, VerifyError } = this.#tools
    const [first, second] = this.#urls
    try {
      return await this.#fetchFrom(first, now, known)
    } catch (error) {
      // A server that does not answer would not answer the second request either.
      if (!(error instanceof VerifyError) || error.cause === TIMED_OUT) throw error
      const entry = await this.#fetchFrom(second, now, known).catch((other: VerifyError) => {
        throw new VerifyError({ ...other, message: `${error.message}; ${other.message}` }, other)
      })
      this.#urls = [second, first]
      return entry
    }
  }

  async #fetchFrom(url: URL, at: number, known: Entry | undefined): Promise<Entry> {
    return this.#read(url, { ...(await this.#tools.fetchDocument('metadata', url, this.#settings, known)), at })
  }

  /** Checks the metadata (RFC 8414 §3.3). */
  async #read(url: URL, entry: FetchedDocument & { at: number }): Promise<Entry> {
    const { inWords, refuseDocument } = this.#tools
    const { issuer, jwks_uri: jwksUri } = Object(JSON.parse(entry.text)) as Record<string, unknown>
    if (issuer !== this.#issuer) {
      const advice = typeof issuer === 'string' && issuer.includes('{') ? MANY_TENANTS : ''
      throw refuseDocument('metadata', url, `its issuer is ${quote(issuer)}, but the option issuer is ${quote(this.#issuer)}; expected the same text${advice}`)
    }
    if (typeof jwksUri !== 'string') throw refuseDocument('metadata', url, 'its jwks_uri is missing: give the option jwks')
    if (!isFetchable(jwksUri, this.#settings.allowHttp, url.protocol === 'http:')) {
      throw refuseDocument('metadata', url, `its jwks_uri ${await inWords((words) => words.problemOfUrl(jwksUri), 'is refused')}`)
    }
    return { ...entry, jwksUri: new URL(jwksUri) }
  }
}

/** The advice for the metadata of Entra ID for many tenants, whose `issuer` is `https://login.microsoftonline.com/{tenantid}/v2.0`. */
const MANY_TENANTS = "; for many tenants, set issuer to that text with the tenant's claim in the braces, such as {tid}, and give jwks"

/** Returns the URLs of RFC 8414 §3.1 and of OpenID Connect Discovery §4. They differ if the issuer has a path. */
function wellKnown({ origin, pathname }: URL): readonly [URL, URL] {
  const path = pathname.replace(/\/$/, '')
  return [
    new URL(`${origin}/.well-known/oauth-authorization-server${path}`),
    new URL(`${origin}${path}/.well-known/openid-configuration`),
  ]
}

/** Formats a value of the metadata for a message of one line. */
function quote(value: unknown): string {
  return (JSON.stringify(value) ?? 'missing').slice(0, 200)
}
