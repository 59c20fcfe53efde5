import { STAGE_OF, VerifyError, type VerifyErrorFields } from './errors.js'
import { deepFreeze } from './freeze.js'
import { decoder, encoder } from './text.js'

/** The exports of the WebAssembly module that this file uses. `verifier-wasm/src/lib.rs` documents them. */
interface Exports {
  readonly memory: WebAssembly.Memory
  create(): number
  destroy(instance: number): void
  input(instance: number, length: number): number
  output(instance: number): number
  output_length(instance: number): number
  set_policy(instance: number): number
  set_keys(instance: number): number
  drop_keys(instance: number): void
  verify(instance: number, now: number): number
}

/** Undefined until {@link instantiate} or {@link use}. */
let exports: Exports

/** Instantiates the module for all verifiers. Later calls have no effect. */
export function instantiate(module: () => WebAssembly.Module): void {
  exports ??= new WebAssembly.Instance(module()).exports as unknown as Exports
}

/** Takes the exports of an existing instance for all verifiers. Later calls have no effect. */
export function use(instance: () => object): void {
  exports ??= instance() as Exports
}

/** A policy and a key set in the WebAssembly module's memory. The methods throw the module's refusals. */
export class WasmVerifier {
  readonly #instance = exports.create()

  /** Makes a verifier without a policy and without keys. */
  constructor() {
    unused?.register(this, this.#instance)
  }

  /** Takes the policy options as JSON text. Drops the keys. */
  setPolicy(policy: string): void {
    this.#write(policy)
    if (!exports.set_policy(this.#instance)) throw this.#refusal()
  }

  /** Takes a JWK Set as JSON text. If the set is refused, the keys in use stay. */
  setKeys(jwks: string): void {
    this.#write(jwks)
    if (!exports.set_keys(this.#instance)) throw this.#refusal()
  }

  /** Drops the keys: `verify` then refuses with `jwks_unavailable`. */
  dropKeys(): void {
    exports.drop_keys(this.#instance)
  }

  /** Returns the claims of a token that is valid at the time `now`, as JSON text. */
  verify(token: string, now: number): string {
    this.#write(token)
    if (!exports.verify(this.#instance, now)) throw this.#refusal()
    return this.#read()
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
    const start = exports.input(this.#instance, length)
    return new Uint8Array(exports.memory.buffer, start, length)
  }

  #read(): string {
    const start = exports.output(this.#instance)
    return decoder.decode(new Uint8Array(exports.memory.buffer, start, exports.output_length(this.#instance)))
  }

  #refusal(): VerifyError {
    const fields = JSON.parse(this.#read()) as Omit<VerifyErrorFields, 'stage'>
    if (fields.claims !== undefined) deepFreeze(fields.claims)
    return new VerifyError({ ...fields, stage: STAGE_OF[fields.code] })
  }
}

/**
 * Frees the memory of garbage-collected verifiers. Workers before 2025 have no such registry. There the memory stays
 * allocated, but they make few verifiers.
 */
const unused = globalThis.FinalizationRegistry && new FinalizationRegistry<number>((instance) => exports.destroy(instance))
