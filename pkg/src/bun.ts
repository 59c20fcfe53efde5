import { readFileSync } from 'node:fs'
import type { Verifier, VerifierOptions } from './types.js'
import { createVerifierWith } from './verifier.js'
// As a file, because `bun build` then puts it beside the bundle, and with `--compile` into the program. Bun's engine does
// not fuse multiply-add, without which the other module is no faster.
import path from './wasm/countersign.wasm' with { type: 'file' }
import { instantiate } from './wasm.js'

export * from './public.js'

/**
 * Makes a verifier. The WebAssembly module is read and compiled by the first call; a key set given as a URL is fetched
 * by the first `verify`.
 *
 * @throws {@link VerifyError} - `options_invalid`, naming the option; `jwks_invalid` where `jwks` has
 * an array `keys`, but is no JWK Set all the same.
 */
export function createVerifier(options: VerifierOptions): Promise<Verifier> {
  return createVerifierWith(() => instantiate(() => new WebAssembly.Module(readFileSync(path))), options)
}
