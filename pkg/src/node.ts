/**
 * The entry point for Node.js. Those of the other runtimes export the same.
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
 * Makes a verifier. The first call reads and compiles the WebAssembly module. The first `verify` fetches the keys unless
 * `jwks` is an object.
 *
 * @throws {@link VerifyError} - `options_invalid`, naming the option; `jwks_invalid` if `jwks` has an array `keys` but is
 * no JWK Set.
 */
export function createVerifier(options: VerifierOptions | readonly VerifierOptions[]): Promise<Verifier> {
  return createVerifierWith(load, options)
}

function load(): void {
  instantiate(() => {
    const file = hasRelaxedSimd() ? './wasm/countersign.relaxed.wasm' : './wasm/countersign.wasm'
    return new WebAssembly.Module(readFileSync(new URL(file, import.meta.url)))
  })
}
