import { servers } from './servers.js'
import type { Verifier, VerifierOptions } from './types.js'
import { createVerifierWith } from './verifier.js'
// Workers may not compile bytes: the import is the compiled module. Their engine has relaxed SIMD.
import module from './wasm/countersign.relaxed.wasm'
import { instantiate } from './wasm.js'

export * from './public.js'

/**
 * Makes a verifier. The WebAssembly module is part of the Worker. The first `verify` fetches the keys unless `jwks` is an object.
 * Make one verifier for all requests, outside of the handler.
 *
 * @throws {@link VerifyError} - `options_invalid`, naming the option; `jwks_invalid` if `jwks` has an array `keys` but is
 * no JWK Set.
 */
export function createVerifier(options: VerifierOptions | readonly VerifierOptions[]): Promise<Verifier> {
  return createVerifierWith(() => instantiate(() => module), options, servers)
}
