import type { VerifiedTokens } from './cache.js'
import { NOT_A_STRING, readPart } from './decode.js'
import type { CacheEntry } from './document-store.js'
import { refuseForWantOfKeys, refuseOption, refuseToken, VerifyError } from './errors.js'
import { deepFreeze } from './freeze.js'
import { KeyResolver, type Origin } from './jwks.js'
import { OptionFault, readOptions, type Settings } from './options.js'
import type { Policies, PolicyVerifier, Tools } from './policies.js'
import { copyOf } from './text.js'
import type { JwkSet, JwtHeader, Verified, Verifier, VerifierOptions } from './types.js'
import { WasmVerifier } from './wasm.js'
import type { refusalOf } from './words.js'

/** One policy, or several. */
export type Options = VerifierOptions | readonly VerifierOptions[]

/** Makes a verifier once `load` has loaded the WebAssembly module. Loads code that few programs need only if it is used. */
export async function createVerifierWith(load: () => void | Promise<void>, options: Options): Promise<Verifier> {
  try {
    if (isSeveral(options)) {
      const { Policies } = await import('./policies.js')
      const { VerifiedTokens } = await import('./cache.js')
      await load()
      return new Policies(options, toolsWith(VerifiedTokens))
    }
    const settings = readOptions(options)
    const cache = settings.cache === 0 ? undefined : await import('./cache.js')
    await load()
    return new WasmBackedVerifier(settings, cache?.VerifiedTokens)
  } catch (error) {
    throw error instanceof OptionFault ? (await import('./words.js')).refusalOf(error, refuseOption) : error
  }
}

/** The code that {@link createVerifierWith} loads if it is used. */
export interface Parts {
  readonly Policies: typeof Policies
  readonly VerifiedTokens: typeof VerifiedTokens
  readonly refusalOf: typeof refusalOf
}

/** The same for a module that is loaded synchronously. */
export function createVerifierSyncWith(load: () => void, parts: Parts, options: Options): Verifier {
  try {
    if (isSeveral(options)) {
      load()
      return new parts.Policies(options, toolsWith(parts.VerifiedTokens))
    }
    const settings = readOptions(options)
    load()
    return new WasmBackedVerifier(settings, parts.VerifiedTokens)
  } catch (error) {
    throw error instanceof OptionFault ? parts.refusalOf(error, refuseOption) : error
  }
}

function isSeveral(options: Options): options is readonly VerifierOptions[] {
  return Array.isArray(options)
}

function toolsWith(cache: typeof VerifiedTokens): Tools {
  return { readPart, refuseOption, refuseToken, OptionFault, VerifyError, makeVerifier: (options) => new WasmBackedVerifier(readOptions(options), cache) }
}

class WasmBackedVerifier implements PolicyVerifier {
  readonly maxTokenBytes: number
  readonly #scopeClaim: string
  readonly #wasm = new WasmVerifier()
  readonly #now: () => number
  readonly #resolver: KeyResolver | undefined
  readonly #cache: VerifiedTokens | undefined
  /** The resolver's cache entry whose keys are in use. */
  #entry: CacheEntry | undefined
  #keysText: string | undefined
  #keys: JwkSet | undefined
  #lastHeader: { encoded: string; header: JwtHeader } | undefined

  /** `Cache` is needed if the settings turn the cache on. */
  constructor({ policy, keys, maxTokenBytes, scopeClaim, now, remote, cache, limits }: Settings, Cache: typeof VerifiedTokens | undefined) {
    this.#wasm.setPolicy(policy)
    this.maxTokenBytes = maxTokenBytes
    this.#scopeClaim = scopeClaim
    this.#cache = cache === 0 || Cache === undefined ? undefined : new Cache(cache, limits)
    this.#now = now
    if (typeof keys === 'string' || keys instanceof URL) this.#resolver = new KeyResolver(keys, remote, now)
    else this.#setKeys(JSON.stringify(keys))
  }

  /** Verifies with the keys in use. If fresh keys could change the verdict, waits for them and verifies again. */
  async verify<Claims extends object = {}>(token: string): Promise<Verified<Claims>> {
    if (this.#resolver === undefined) return this.verifySync(token)
    for (let origin: Origin | undefined; ; ) {
      let verified: Verified<Claims> | undefined
      let refusal: unknown
      try {
        verified = this.verifySync(token)
      } catch (error) {
        refusal = error
      }
      const renewal = origin === 'endpoint' ? undefined : renewFor(this.#resolver, token, refusal)
      if (renewal !== undefined) origin = await renewal
      else if (verified !== undefined) return verified
      else throw refusal
    }
  }

  verifySync<Claims extends object = {}>(token: string): Verified<Claims> {
    if (typeof token !== 'string') throw refuseToken('token_malformed', NOT_A_STRING)
    // A character is at least one byte: a text with too many characters need not be copied to be counted.
    if (token.length > this.maxTokenBytes) {
      throw refuseToken('token_too_large', `the token is longer than the ${this.maxTokenBytes} bytes that maxTokenBytes allows`)
    }
    const now = this.#now()
    this.#useCurrentKeys(now)
    const verified = this.#cache?.find(token, now) ?? this.#check(token, now)
    return verified as Verified<Claims>
  }

  keys(): JwkSet {
    if (this.#resolver !== undefined) this.#useCurrentKeys(this.#now())
    if (this.#keysText === undefined) throw refuseForWantOfKeys('no key set is loaded; call verify or refresh first')
    return (this.#keys ??= deepFreeze(JSON.parse(this.#keysText) as JwkSet))
  }

  async refresh(): Promise<void> {
    if (this.#resolver === undefined) return
    await this.#resolver.refresh()
    this.#useCurrentKeys(this.#now())
  }

  scopeClaimFor(): string {
    return this.#scopeClaim
  }

  #check(token: string, now: number): Verified {
    const payload = deepFreeze(JSON.parse(this.#wasm.verify(token, now)))
    const verified: Verified = Object.freeze({ header: this.#headerOf(token), payload })
    this.#cache?.add(copyOf(token), verified)
    return verified
  }

  /** Reads the header of a token that passed. Tokens of one key have the same header, which is read once. */
  #headerOf(token: string): JwtHeader {
    const encoded = encodedHeader(token)
    if (this.#lastHeader?.encoded !== encoded) {
      this.#lastHeader = { encoded, header: deepFreeze(readPart(encoded) as JwtHeader) }
    }
    return this.#lastHeader.header
  }

  #useCurrentKeys(now: number): void {
    const entry = this.#resolver?.current(now)
    if (entry === this.#entry) return
    this.#setKeys(entry?.text)
    this.#entry = entry
  }

  #setKeys(text: string | undefined): void {
    // Tokens that passed with the same set still pass. Only another set can lack their key.
    if (text === this.#keysText) return
    if (text === undefined) this.#wasm.dropKeys()
    else this.#wasm.setKeys(text)
    this.#cache?.clear()
    this.#keysText = text
    this.#keys = undefined
  }
}

/** Renews the keys unless the token was refused before its key mattered: then no key can save it. */
function renewFor(resolver: KeyResolver, token: string, refusal: unknown): Promise<Origin> | undefined {
  if (refusal === undefined) return resolver.renew()
  if (!(refusal instanceof VerifyError) || ['options', 'parse', 'header'].includes(refusal.stage)) return undefined
  return resolver.renew(refusal.code === 'key_not_found' ? { kid: (readPart(encodedHeader(token)) as JwtHeader).kid } : undefined)
}

function encodedHeader(token: string): string {
  return token.slice(0, token.indexOf('.'))
}
