import type { VerifiedTokens } from './cache.js'
import { NOT_A_STRING, readPart } from './decode.js'
import type { Origin, Servers } from './documents.js'
import { refuse, refuseForWantOfKeys, VerifyError } from './errors.js'
import { deepFreeze } from './freeze.js'
import { isObject, isPlainObject, readPlainOptions, type Settings } from './options.js'
import type { PolicyVerifier } from './policies.js'
import type { Program } from './prepare.js'
import { Resolver } from './resolver.js'
import { tools } from './tools.js'
import type { JwkSet, JwtHeader, Verified, Verifier, VerifierOptions } from './types.js'
import { WasmVerifier } from './wasm.js'

/**
 * Makes a verifier once `load` has loaded the WebAssembly module. Loads code for options that few programs have only if there
 * are such options. `servers` is left out in pages.
 */
export async function createVerifierWith(
  load: () => void | Promise<void>,
  options: VerifierOptions | readonly VerifierOptions[],
  servers?: Servers,
): Promise<Verifier> {
  // Each option is read once, now: the caller may change it while a script is loaded.
  const given = copyOf(isObject(options) ? { ...options } : options, DEEPEST)
  const settings = readPlainOptions(given, servers)
  if (settings === undefined) {
    const { createVerifier } = await import('./prepare.js').catch(refuseWithoutScript)
    return createVerifier(load, given, { ...program, servers })
  }
  await load()
  return new WasmBackedVerifier(settings)
}

function refuseWithoutScript(cause: unknown): never {
  const remedy = "import 'countersign/inline' where import() fails, as in Service Workers"
  throw new Error(`countersign: the script for these options was not loaded: ${cause}; ${remedy}`, { cause })
}

/** The depth of an element of `key_ops`: policies, options, `jwks`, `keys`, key. Values below it are not options. */
const DEEPEST = 6

/** Copies arrays and plain objects. Other objects, such as a URL, stay the caller's. So does a store: it may keep data in itself. */
function copyOf(value: unknown, depth: number): unknown {
  if (depth === 0) return value
  if (Array.isArray(value)) return value.map((item) => copyOf(item, depth - 1))
  if (!isPlainObject(value)) return value
  const copyOfMember = ([name, member]: [string, unknown]) => [name, name === 'store' ? member : copyOf(member, depth - 1)]
  return Object.fromEntries(Object.entries(value).map(copyOfMember))
}

/** The part of the program for any options. */
export const program: Program = { makeVerifier: (settings) => new WasmBackedVerifier(settings), tools }

class WasmBackedVerifier implements PolicyVerifier {
  readonly maxTokenBytes: number
  readonly #scopeClaim: string
  readonly #wasm = new WasmVerifier()
  readonly #now: () => number
  readonly #resolver: Resolver | undefined
  readonly #cache: VerifiedTokens | undefined
  /** The text of the key set that the cache and `#keys` are for. */
  #keysText: string | undefined
  #keys: JwkSet | undefined
  #lastHeader: { encoded: string; header: JwtHeader } | undefined

  constructor({ policy, keys, maxTokenBytes, scopeClaim, now, remote, cache }: Settings) {
    this.#wasm.setPolicy(policy)
    this.maxTokenBytes = maxTokenBytes
    this.#scopeClaim = scopeClaim
    this.#cache = cache
    this.#now = now
    if ('keys' in keys) this.#wasm.setKeys(JSON.stringify(keys))
    else this.#resolver = new Resolver(keys, remote, now, this.#wasm)
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
      else throw (isMissingKey(refusal) && this.#resolver.outage()) || refusal
    }
  }

  verifySync<Claims extends object = {}>(token: string): Verified<Claims> {
    if (typeof token !== 'string') throw refuse({ code: 'token_malformed', message: NOT_A_STRING })
    const now = this.#now()
    this.#useCurrentKeys(now)
    const verified = this.#cache?.find(token, now) ?? this.#check(token, now)
    return verified as Verified<Claims>
  }

  keys(): JwkSet {
    if (this.#resolver !== undefined) this.#useCurrentKeys(this.#now())
    const text = this.#wasm.keys
    if (text === undefined) throw refuseForWantOfKeys('no key set is loaded; call verify or refresh first')
    return (this.#keys ??= deepFreeze(JSON.parse(text) as JwkSet))
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
    // A character is at least one byte: the module refuses a longer text by its beginning, which takes less time to copy.
    const payload = deepFreeze(JSON.parse(this.#wasm.verify(token.slice(0, this.maxTokenBytes + 1), now)))
    const verified: Verified = Object.freeze({ header: this.#headerOf(token), payload })
    this.#cache?.add(token, verified)
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
    this.#resolver?.expire(now)
    // Tokens that passed with the same set still pass. Only another set can lack their key.
    if (this.#keysText === this.#wasm.keys) return
    this.#keysText = this.#wasm.keys
    this.#keys = undefined
    this.#cache?.clear()
  }
}

/** Renews the keys unless the token was refused before its key mattered: then no key can save it. */
function renewFor(resolver: Resolver, token: string, refusal: unknown): Promise<Origin> | undefined {
  if (refusal === undefined) return resolver.renew()
  if (!(refusal instanceof VerifyError) || ['options', 'parse', 'header'].includes(refusal.stage)) return undefined
  return resolver.renew(isMissingKey(refusal) ? { kid: (readPart(encodedHeader(token)) as JwtHeader).kid } : undefined)
}

function isMissingKey(refusal: unknown): boolean {
  return refusal instanceof VerifyError && refusal.code === 'key_not_found'
}

function encodedHeader(token: string): string {
  return token.slice(0, token.indexOf('.'))
}
