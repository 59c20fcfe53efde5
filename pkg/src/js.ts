/**
 * The package without WebAssembly.
 *
 * @module countersign/js
 */

import { createVerifierSync as createSync } from './prepare.js'
import { servers } from './servers.js'
import type { Verifier, VerifierOptions } from './types.js'
import { bringCoders } from './utf8.js'
import { program } from './verifier.js'
import { instantiate } from './wasm/countersign.js'
import { instantiateBy } from './wasm.js'
import { problemOfOption } from './words.js'

export * from './public.js'

/**
 * Makes a verifier synchronously, for runtimes without WebAssembly: React Native, Fastly Compute, `--jitless`, Lockdown Mode.
 * The portable WebAssembly module is part of this JavaScript, translated to JavaScript. The verdicts are the same; each takes
 * longer. The first `verify` fetches the keys unless `jwks` is an object.
 *
 * @throws {@link VerifyError} - `options_invalid`, naming the option; `jwks_invalid` if `jwks` has an array `keys` but is
 * no JWK Set.
 */
export function createVerifierSync(options: VerifierOptions | readonly VerifierOptions[]): Verifier {
  return createSync(load, options, problemOfOption, { ...program, servers })
}

/** Returns a promise of the same verifier, as the other entry points do. */
export async function createVerifier(options: VerifierOptions | readonly VerifierOptions[]): Promise<Verifier> {
  return createVerifierSync(options)
}

function load(): void {
  bringCoders()
  instantiateBy(instantiate)
}
