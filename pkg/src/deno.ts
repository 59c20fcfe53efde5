import type { Verifier, VerifierOptions } from './types.js'
import { createVerifierWith } from './verifier.js'
// Imported, it is part of the program: no right to read files is needed, and `deno compile` and Deno Deploy find it.
// Deno's engine has relaxed SIMD.
import * as instance from './wasm/countersign.relaxed.wasm'
import { use } from './wasm.js'

export * from './public.js'

/**
 * Makes a verifier. The WebAssembly module is part of the program; a key set given as a URL is fetched by the first
 * `verify`, which needs `--allow-net`.
 *
 * @throws {@link VerifyError} - `options_invalid`, naming the option; `jwks_invalid` where `jwks` has
 * an array `keys`, but is no JWK Set all the same.
 */
export function createVerifier(options: VerifierOptions): Promise<Verifier> {
  return createVerifierWith(() => use(() => instance), options)
}
