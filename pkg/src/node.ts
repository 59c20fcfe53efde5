/**
 * The entry point for Node.js. Those of the other runtimes export the same.
 *
 * @module countersign
 */

import { readFileSync } from 'node:fs'
import { load } from './load.js'
import { moduleUrl } from './module-url.js'
import { servers } from './servers.js'
import type { Verifier, VerifierOptions } from './types.js'
import { bringCoders } from './utf8.js'
import { createVerifierWith } from './verifier.js'

export * from './public.js'

/**
 * Makes a verifier. The first call reads and compiles the WebAssembly module. The first `verify` fetches the keys unless
 * `jwks` is an object.
 *
 * @throws {@link VerifyError} - `options_invalid`, naming the option; `jwks_invalid` if `jwks` has an array `keys` but is
 * no JWK Set. Without WebAssembly (`--jitless`), `options_invalid` with the `reason` `webassembly`: import `countersign/js`.
 */
export function createVerifier(options: VerifierOptions | readonly VerifierOptions[]): Promise<Verifier> {
  return createVerifierWith(() => load(compile), options, servers)
}

function compile(): WebAssembly.Module {
  // Jest with jsdom runs this entry point.
  bringCoders()
  return new WebAssembly.Module(readFileSync(moduleUrl()))
}
