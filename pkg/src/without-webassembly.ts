import type { VerifyError } from './errors.js'

/**
 * Makes the error of `createVerifier` in a runtime without WebAssembly. It takes the class, because an import would make
 * bundlers split that module off from the script of every page.
 */
export function refuseWithoutWebAssembly(Class: typeof VerifyError, cause?: unknown): VerifyError {
  const message = "this runtime has no WebAssembly; import 'countersign/js', which does the same in JavaScript"
  return new Class(
    { code: 'options_invalid', stage: 'options', reason: 'webassembly', message, retryable: false, wwwAuthenticate: 'Bearer' },
    cause,
  )
}
