import { refuse } from './errors.js'
import { deepFreeze } from './freeze.js'
import { decoder, encoder, makeCoders } from './text.js'

/** The exports of the WebAssembly module that this file uses. `verifier-wasm/src/exports.rs` documents them. */
interface Exports extends Functions {
  readonly memory: WebAssembly.Memory
  create(): number
  destroy(instance: number): void
  input(instance: number, length: number): number
  output(instance: number): number
  output_length(instance: number): number
}

/** Those that read the input. All but `verify` ignore the time. */
interface Functions {
  set_policy(instance: number, now: number): number
  set_keys(instance: number, now: number): number
  has_usable_keys(instance: number, now: number): number
  drop_keys(instance: number, now: number): number
  verify(instance: number, now: number): number
}

/**
 * The exports of the instance in use. Undefined before the first one, and after an exception in the module: its stack may not
 * be unwound, and its data not whole.
 */
let exports: Exports | undefined

/** Makes the exports of another instance, or returns those of the only one. Undefined until {@link instantiateBy}. */
let restart: () => Exports

/** Instantiates the module for all verifiers. Later calls have no effect. */
export function instantiate(module: () => WebAssembly.Module): void {
  if (restart !== undefined) return
  const compiled = module()
  instantiateBy(() => new WebAssembly.Instance(compiled).exports)
}

/** The same with a function that returns the exports of an instance: of a new one if it can make more than one. */
export function instantiateBy(make: () => object): void {
  if (restart !== undefined) return
  makeCoders()
  exports = make() as Exports
  restart = make as () => Exports
}

/** A policy and a key set in the WebAssembly module's memory. The methods throw the module's refusals. */
export class WasmVerifier {
  #held = hold(this)
  #policy: string | undefined
  #keys: string | undefined

  /** Takes the policy options as JSON text. Drops the keys. */
  setPolicy(policy: string): void {
    this.#ask('set_policy', policy)
    this.#policy = policy
    this.#keys = undefined
  }

  /**
   * Takes a JWK Set as JSON text. If the set is refused, the keys in use stay. Returns true if a key of the set can check a
   * token.
   */
  setKeys(jwks: string): boolean {
    this.#ask('set_keys', jwks)
    this.#keys = jwks
    return this.#call('has_usable_keys', '') !== 0
  }

  /** Returns the JWK Set in use as JSON text. */
  get keys(): string | undefined {
    return this.#keys
  }

  /** Drops the keys: `verify` then refuses with `jwks_unavailable`. */
  dropKeys(): void {
    if (this.#keys !== undefined) this.#call('drop_keys', '')
    this.#keys = undefined
  }

  /** Returns the claims of a token that is valid at the time `now`, as JSON text. */
  verify(token: string, now: number): string {
    return this.#ask('verify', token, now)
  }

  /** Calls a function that can refuse. Returns its output. */
  #ask(name: 'set_policy' | 'set_keys' | 'verify', text: string, now?: number): string {
    if (this.#call(name, text, now)) return this.#read()
    throw refuse(deepFreeze(JSON.parse(this.#read()) as Parameters<typeof refuse>[0]))
  }

  #call(name: keyof Functions, text: string, now = 0): number {
    if (this.#held.exports !== exports) this.#restore()
    const { exports: functions, instance } = this.#held
    try {
      this.#write(text)
      return functions[name](instance, now)
    } catch (error) {
      // Not by a function: after a stack overflow there may be no room for a call.
      exports = undefined
      throw failed(error)
    }
  }

  /** Moves to an undamaged instance of the module, with the same policy and keys. */
  #restore(): void {
    this.#held = hold(this)
    try {
      if (this.#policy !== undefined) this.#ask('set_policy', this.#policy)
      if (this.#keys !== undefined) this.#ask('set_keys', this.#keys)
    } catch (error) {
      // The verifier lacks its policy or its keys.
      exports = undefined
      throw error
    }
  }

  #write(text: string): void {
    // A token is ASCII: as many bytes as characters. Only text with more bytes is encoded a second time.
    const { read } = encoder.encodeInto(text, this.#input(text.length))
    if (read === text.length) return
    const bytes = encoder.encode(text)
    this.#input(bytes.length).set(bytes)
  }

  // The memory gets a new buffer when it grows, so each call makes its own view.

  #input(length: number): Uint8Array<ArrayBuffer> {
    const { exports, instance } = this.#held
    const start = exports.input(instance, length)
    return new Uint8Array(exports.memory.buffer, start, length)
  }

  #read(): string {
    const { exports, instance } = this.#held
    const start = exports.output(instance)
    return decoder.decode(new Uint8Array(exports.memory.buffer, start, exports.output_length(instance)))
  }
}

/** A verifier in the memory of an instance of the module. */
interface Held {
  readonly exports: Exports
  readonly instance: number
}

/**
 * Makes a verifier without a policy and without keys, in an undamaged instance of the module. Its memory is freed after
 * `owner` was collected.
 */
function hold(owner: WasmVerifier): Held {
  try {
    exports ??= restart()
    const held = { exports, instance: exports.create() }
    unused?.register(owner, held)
    return held
  } catch (error) {
    exports = undefined
    throw failed(error)
  }
}

/** Makes the error for an exception that is no refusal: a trap, or a stack overflow. */
function failed(error: unknown): Error {
  return new Error(`countersign: the WebAssembly module failed (${error}); the next call starts it anew`, { cause: error })
}

/** Workers before 2025 have no such registry, and make few verifiers. */
const unused =
  globalThis.FinalizationRegistry &&
  new FinalizationRegistry<Held>((held) => {
    // The memory of a damaged instance is gone with it.
    if (held.exports === exports) exports.destroy(held.instance)
  })
