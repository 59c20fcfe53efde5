/**
 * The package as Node.js has it. The entry points of all other runtimes export the same.
 *
 * @module countersign
 */

import { readFileSync } from 'node:fs'
import { hasRelaxedSimd } from './relaxed.js'
import type { Verifier, VerifierOptions } from './types.js'
import { createVerifierWith } from './verifier.js'
import { instantiate } from './wasm.js'

export * from './public.js'

/**
 * Makes a verifier. The WebAssembly module is read and compiled by the first call; a key set given as a URL is fetched
 * by the first `verify`.
 *
 * @throws {@link VerifyError} - `options_invalid`, naming the option; `jwks_invalid` where `jwks` has
 * an array `keys`, but is no JWK Set all the same.
 */
export function createVerifier(options: VerifierOptions): Promise<Verifier> {
  return createVerifierWith(load, options)
}

function load(): void {
  instantiate(() => {
    const file = hasRelaxedSimd() ? './wasm/countersign.relaxed.wasm' : './wasm/countersign.wasm'
    return new WebAssembly.Module(readFileSync(new URL(file, import.meta.url)))
  })
}
