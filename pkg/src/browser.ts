import { load } from './load.js'
import { moduleUrl } from './module-url.js'
import type { Verifier, VerifierOptions } from './types.js'
import { createVerifierWith } from './verifier.js'

export * from './public.js'

/**
 * Makes a verifier. The first call fetches and compiles the WebAssembly module. The first `verify` fetches the keys unless
 * `jwks` is an object. A Content-Security-Policy needs `'wasm-unsafe-eval'` in its `script-src`.
 *
 * @throws {@link VerifyError} - `options_invalid`, naming the option; `jwks_invalid` if `jwks` has an array `keys` but is
 * no JWK Set. Without WebAssembly (Lockdown Mode), `options_invalid` with the `reason` `webassembly`: import `countersign/js`.
 * @throws Error - If the WebAssembly module cannot be loaded or compiled. The next call tries again.
 */
export function createVerifier(options: VerifierOptions | readonly VerifierOptions[]): Promise<Verifier> {
  return createVerifierWith(() => load(compile), options)
}

async function compile(): Promise<WebAssembly.Module> {
  const response = await fetch(moduleUrl())
  // `compileStreaming` would require a type that many servers do not send, and the module is small.
  return WebAssembly.compile(await response.arrayBuffer())
}
