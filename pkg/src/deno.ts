import { servers } from './servers.js'
import type { Verifier, VerifierOptions } from './types.js'
import { createVerifierWith } from './verifier.js'
// The import makes the module part of the program: it needs no right to read files, and works with `deno compile` and
// Deno Deploy. Deno's engine has relaxed SIMD.
import * as instance from './wasm/countersign.relaxed.wasm'
import { instantiateBy } from './wasm.js'

export * from './public.js'

/**
 * Makes a verifier. The WebAssembly module is part of the program. The first `verify` fetches the keys unless `jwks` is an
 * object, which needs `--allow-net`.
 *
 * @throws {@link VerifyError} - `options_invalid`, naming the option; `jwks_invalid` if `jwks` has an array `keys` but is
 * no JWK Set.
 */
export function createVerifier(options: VerifierOptions | readonly VerifierOptions[]): Promise<Verifier> {
  return createVerifierWith(() => instantiateBy(() => instance), options, servers)
}
