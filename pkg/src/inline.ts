/**
 * The package with its WebAssembly inside the JavaScript.
 *
 * @module countersign/inline
 */

import { hasRelaxedSimd } from './relaxed.js'
import type { Verifier, VerifierOptions } from './types.js'
import { createVerifierSyncWith } from './verifier.js'
import { portable, relaxed } from './wasm/bytes.js'
import { instantiate } from './wasm.js'

export * from './public.js'

/**
 * Makes a verifier, at once. The WebAssembly module is part of this JavaScript, and compiled by the first call; a key set
 * given as a URL is fetched by the first `verify`. A Content-Security-Policy needs `'wasm-unsafe-eval'`.
 *
 * For places that cannot load a file: a single-file script, a test runner's sandbox, a browser extension. Both builds of
 * the module are in it, so that it is more than twice as large to download. Not for where code must not compile bytes, as
 * in Cloudflare Workers.
 *
 * @throws {@link VerifyError} - `options_invalid`, naming the option; `jwks_invalid` where `jwks` has
 * an array `keys`, but is no JWK Set all the same.
 * @throws Error - Where no bytes may be compiled.
 */
export function createVerifierSync(options: VerifierOptions): Verifier {
  return createVerifierSyncWith(load, options)
}

/** The same with a promise, as the other entry points have it. */
export async function createVerifier(options: VerifierOptions): Promise<Verifier> {
  return createVerifierSync(options)
}

function load(): void {
  instantiate(() => {
    const bytes = atob(hasRelaxedSimd() ? relaxed : portable)
    try {
      return new WebAssembly.Module(Uint8Array.from(bytes, (byte) => byte.charCodeAt(0)))
    } catch (cause) {
      throw new Error(BLOCKED, { cause })
    }
  })
}

const BLOCKED =
  "countersign: WebAssembly is not compiled from bytes here: in Cloudflare Workers, import 'countersign' in the place of " +
  "'countersign/inline'; under a Content-Security-Policy, script-src needs 'wasm-unsafe-eval'"
