import { refuse } from './errors.js'
import type { Verifier, VerifierOptions } from './types.js'
import { refuseWithoutWebAssembly } from './without-webassembly.js'

export * from './public.js'

/**
 * Fails, because this runtime (React Native, Fastly Compute) has no WebAssembly: import `countersign/js`.
 *
 * @throws {@link VerifyError} - `options_invalid`, with the `reason` `webassembly`.
 */
export function createVerifier(_options: VerifierOptions | readonly VerifierOptions[]): Promise<Verifier> {
  return Promise.reject(refuseWithoutWebAssembly(refuse))
}
