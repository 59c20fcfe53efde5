import { servers } from './servers.js'
import type { Verifier, VerifierOptions } from './types.js'
import { createVerifierWith } from './verifier.js'
// Edge functions may not compile bytes: with `?module`, their bundlers import the compiled module. It is compiled on load,
// so the relaxed module would fail on engines without relaxed SIMD. `next build` and `next start` run edge functions in
// Node.js, whose version 20 is such an engine.
import module from './wasm/countersign.wasm?module'
import { instantiate } from './wasm.js'

export * from './public.js'

/**
 * Makes a verifier. The WebAssembly module is part of the edge function. The first `verify` fetches the keys unless
 * `jwks` is an object. Make one verifier for all requests, outside of the handler.
 *
 * @throws {@link VerifyError} - `options_invalid`, naming the option; `jwks_invalid` if `jwks` has an array `keys` but is
 * no JWK Set.
 */
export function createVerifier(options: VerifierOptions | readonly VerifierOptions[]): Promise<Verifier> {
  return createVerifierWith(() => instantiate(compiled), options, servers)
}

/** A bundler may pass the bytes. A module may be of another realm, which `instanceof` does not know. */
function compiled(): WebAssembly.Module {
  return 'byteLength' in module ? new WebAssembly.Module(module) : module
}
