import { STAGE_OF, VerifyError, type VerifyErrorFields } from './errors.js'
import { deepFreeze } from './freeze.js'

/** What is used of the WebAssembly module's exports. `verifier-wasm/src/lib.rs` says what each of them does. */
interface Exports {
  readonly memory: WebAssembly.Memory
  create(): number
  destroy(instance: number): void
  input(instance: number, length: number): number
  output(instance: number): number
  output_length(instance: number): number
  set_policy(instance: number): number
  set_keys(instance: number): number
  verify(instance: number, now: number): number
}

let exports: Exports | undefined

/** Puts the module to use, for all verifiers from now on. It is asked for once. */
export function instantiate(module: () => WebAssembly.Module): void {
  use(() => new WebAssembly.Instance(module()).exports)
}

/** The same with what an instance of it exports. */
export function use(instance: () => object): void {
  exports ??= instance() as Exports
}

/** A policy and a key set in the WebAssembly module's memory. Each function throws the module's refusal. */
export class WasmVerifier {
  readonly #exports: Exports
  readonly #instance: number

  /** Takes the policy options as JSON text. */
  constructor(policy: string) {
    if (exports === undefined) throw new Error('countersign: the WebAssembly module is not loaded')
    this.#exports = exports
    this.#instance = exports.create()
    unused?.register(this, { destroy: exports.destroy, instance: this.#instance })
    this.#write(policy)
    if (!exports.set_policy(this.#instance)) throw this.#refusal()
  }

  /** Takes a JWK Set as JSON text. Where it is refused, the keys in use stay. */
  setKeys(jwks: string): void {
    this.#write(jwks)
    if (!this.#exports.set_keys(this.#instance)) throw this.#refusal()
  }

  /** Gives the claims of a token that is good at the time `now`, as JSON text. */
  verify(token: string, now: number): string {
    this.#write(token)
    if (!this.#exports.verify(this.#instance, now)) throw this.#refusal()
    return this.#read()
  }

  #write(text: string): void {
    // Tokens are ASCII, with as many bytes as characters.
    const { read } = encoder.encodeInto(text, this.#input(text.length))
    if (read === text.length) return
    const bytes = encoder.encode(text)
    this.#input(bytes.length).set(bytes)
  }

  // The memory's buffer is another one after each growth: views of it are made anew.

  #input(length: number): Uint8Array<ArrayBuffer> {
    const start = this.#exports.input(this.#instance, length)
    return new Uint8Array(this.#exports.memory.buffer, start, length)
  }

  #read(): string {
    const start = this.#exports.output(this.#instance)
    return decoder.decode(new Uint8Array(this.#exports.memory.buffer, start, this.#exports.output_length(this.#instance)))
  }

  #refusal(): VerifyError {
    const fields = JSON.parse(this.#read()) as Omit<VerifyErrorFields, 'stage'>
    return new VerifyError({ ...fields, ...(fields.claims && { claims: deepFreeze(fields.claims) }), stage: STAGE_OF[fields.code] })
  }
}

const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { ignoreBOM: true })

/** Gives back the memory of verifiers that are no longer used. Workers of before 2025 have none; theirs are few. */
const unused = globalThis.FinalizationRegistry && new FinalizationRegistry<Unused>(({ destroy, instance }) => destroy(instance))

interface Unused {
  destroy(instance: number): void
  instance: number
}
