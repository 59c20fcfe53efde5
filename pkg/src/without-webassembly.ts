import type { refuse, VerifyError } from './errors.js'

/**
 * Makes the error of `createVerifier` in a runtime without WebAssembly. `make` is an argument, because an import would make
 * bundlers split its module off from the script of every page.
 */
export function refuseWithoutWebAssembly(make: typeof refuse, cause?: unknown): VerifyError {
  const message = "this runtime has no WebAssembly; import 'countersign/js', which does the same in JavaScript"
  return make({ code: 'options_invalid', reason: 'webassembly', message }, cause)
}
