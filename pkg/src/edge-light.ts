import type { Verifier, VerifierOptions } from './types.js'
import { createVerifierWith } from './verifier.js'
// Edge functions may not compile bytes: `?module` is how their bundlers are asked for the module compiled. Compiled it is
// on load, wherever the function runs; the other module would fail there on engines without relaxed SIMD, as in Node.js
// 20, with which `next build` and `next start` run edge functions too.
import module from './wasm/countersign.wasm?module'
import { instantiate } from './wasm.js'

export * from './public.js'

/**
 * Makes a verifier. The WebAssembly module is part of the edge function; a key set given as a URL is fetched by the
 * first `verify`. Make one verifier for all requests, outside of the handler.
 *
 * @throws {@link VerifyError} - `options_invalid`, naming the option; `jwks_invalid` where `jwks` has
 * an array `keys`, but is no JWK Set all the same.
 */
export function createVerifier(options: VerifierOptions): Promise<Verifier> {
  return createVerifierWith(() => instantiate(() => module), options)
}
