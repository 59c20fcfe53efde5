/**
 * The package with its WebAssembly inside the JavaScript.
 *
 * @module countersign/inline
 */

import { compileBase64 } from './compile.js'
import { refuse } from './errors.js'
import { createVerifierSync as createSync } from './prepare.js'
import { hasRelaxedSimd } from './relaxed.js'
import { servers } from './servers.js'
import type { Verifier, VerifierOptions } from './types.js'
import { bringCoders } from './utf8.js'
import { program } from './verifier.js'
import { portable, relaxed } from './wasm/bytes.js'
import { instantiate } from './wasm.js'
import { refuseWithoutWebAssembly } from './without-webassembly.js'
import { problemOfOption } from './words.js'

export * from './public.js'

/**
 * Makes a verifier synchronously. The WebAssembly module is part of this JavaScript; the first call compiles it. The first
 * `verify` fetches the keys unless `jwks` is an object. A Content-Security-Policy needs `'wasm-unsafe-eval'`.
 *
 * Use it for programs that cannot load a file: a single-file script, a test runner's sandbox, a browser extension. It holds
 * the two builds for browsers and Node.js, and so is more than twice as large to download. It does not work in Cloudflare
 * Workers, which must not compile bytes.
 *
 * @throws {@link VerifyError} - `options_invalid`, naming the option; `jwks_invalid` if `jwks` has an array `keys` but is
 * no JWK Set. Without WebAssembly, `options_invalid` with the `reason` `webassembly`: import `countersign/js`.
 * @throws Error - If the runtime must not compile bytes.
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
  if (typeof WebAssembly === 'undefined') throw refuseWithoutWebAssembly(refuse)
  instantiate(() => compileBase64(hasRelaxedSimd() ? relaxed : portable))
}
