import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { load } from './load.js'
import { servers } from './servers.js'
import type { Verifier, VerifierOptions } from './types.js'
import { createVerifierWith } from './verifier.js'
// Imported as a file: `bun build` then copies it beside the bundle, and with `--compile` into the program. Bun's engine does
// not fuse multiply-add, so the wide module is the fastest. A Bun without wide arithmetic does not compile it, and `load`
// then takes the module from a script.
import path from './wasm/countersign.wide.wasm' with { type: 'file' }

export * from './public.js'

/**
 * Makes a verifier. The first call reads and compiles the WebAssembly module. The first `verify` fetches the keys unless
 * `jwks` is an object.
 *
 * @throws {@link VerifyError} - `options_invalid`, naming the option; `jwks_invalid` if `jwks` has an array `keys` but is
 * no JWK Set.
 */
export function createVerifier(options: VerifierOptions | readonly VerifierOptions[]): Promise<Verifier> {
  return createVerifierWith(() => load(() => new WebAssembly.Module(readFileSync(file()))), options, servers)
}

/** In a bundle, the path is relative to the bundle. */
function file(): string {
  return resolve(import.meta.dirname, path)
}
