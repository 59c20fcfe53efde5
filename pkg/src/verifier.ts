import { VerifiedTokens } from './cache.js'
import { NOT_A_STRING, readObject } from './decode.js'
import { refuseForWantOfKeys, refuseToken } from './errors.js'
import { deepFreeze } from './freeze.js'
import { RemoteKeySet } from './jwks.js'
import { readOptions, type Settings } from './options.js'
import type { JwkSet, JwtHeader, Verified, Verifier, VerifierOptions } from './types.js'
import { WasmVerifier } from './wasm.js'

/** Makes a verifier once `load` has seen to it that the WebAssembly module is there. */
export async function createVerifierWith(load: () => void | Promise<void>, options: VerifierOptions): Promise<Verifier> {
  const settings = readOptions(options)
  await load()
  return new WasmBackedVerifier(settings)
}

/** The same where the module can be had at once. */
export function createVerifierSyncWith(load: () => void, options: VerifierOptions): Verifier {
  const settings = readOptions(options)
  load()
  return new WasmBackedVerifier(settings)
}

class WasmBackedVerifier implements Verifier {
  #wasm: WasmVerifier
  readonly #policy: string
  readonly #maxTokenBytes: number
  readonly #now: () => number
  readonly #remote: RemoteKeySet | undefined
  readonly #cache: VerifiedTokens | undefined
  #keys: JwkSet | undefined
  #keysText: string | undefined
  #lastHeader: { encoded: string; header: JwtHeader } | undefined

  constructor({ policy, keys, maxTokenBytes, now, remote, cache, limits }: Settings) {
    this.#wasm = new WasmVerifier(policy)
    this.#policy = policy
    this.#maxTokenBytes = maxTokenBytes
    this.#cache = cache === 0 ? undefined : new VerifiedTokens(cache, limits)
    this.#now = now
    if (keys instanceof URL) {
      this.#remote = new RemoteKeySet(keys, remote, now, (text) => this.#install(text))
    } else {
      this.#install(JSON.stringify(keys))
    }
  }

  async verify<Claims extends object = {}>(token: string): Promise<Verified<Claims>> {
    const verifySync = () => this.verifySync<Claims>(token)
    return this.#remote === undefined ? verifySync() : this.#remote.verify(token, verifySync)
  }

  verifySync<Claims extends object = {}>(token: string): Verified<Claims> {
    if (typeof token !== 'string') throw refuseToken('token_malformed', NOT_A_STRING)
    // A character is at least one byte: what is too long by characters need not be copied to be counted.
    if (token.length > this.#maxTokenBytes) {
      throw refuseToken('token_too_large', `the token is longer than the ${this.#maxTokenBytes} bytes that maxTokenBytes allows`)
    }
    const now = this.#now()
    this.#remote?.expire(now)
    const verified = this.#cache?.find(token, now) ?? this.#judge(token, now)
    return verified as Verified<Claims>
  }

  keys(): JwkSet {
    this.#remote?.expire(this.#now())
    if (this.#keys === undefined) throw refuseForWantOfKeys('no key set is loaded; call verify or refresh first')
    return this.#keys
  }

  async refresh(): Promise<void> {
    await this.#remote?.refresh()
  }

  #judge(token: string, now: number): Verified {
    const payload = deepFreeze(JSON.parse(this.#wasm.verify(token, now)))
    const verified: Verified = Object.freeze({ header: this.#headerOf(token), payload })
    this.#cache?.add(token, verified)
    return verified
  }

  /** The header of a token that passed. Those of one key's tokens are alike, and one that is alike is read once. */
  #headerOf(token: string): JwtHeader {
    const encoded = token.slice(0, token.indexOf('.'))
    if (this.#lastHeader?.encoded !== encoded) {
      this.#lastHeader = { encoded, header: deepFreeze(readObject(encoded, 'header')) as unknown as JwtHeader }
    }
    return this.#lastHeader.header
  }

  /** Puts another key set to use, or none. */
  #install(text: string | undefined): void {
    // What passed by these very keys still does; only another set can have lost one.
    if (text === this.#keysText) return
    if (text === undefined) this.#wasm = new WasmVerifier(this.#policy)
    else this.#wasm.setKeys(text)
    this.#cache?.clear()
    this.#keys = text === undefined ? undefined : deepFreeze(JSON.parse(text) as JwkSet)
    this.#keysText = text
  }
}
