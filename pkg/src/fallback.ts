import { compileBase64 } from './compile.js'
import type { VerifyError } from './errors.js'
import type { hasRelaxedSimd } from './relaxed.js'
import { portable, relaxed } from './wasm/bytes.js'
import { refuseWithoutWebAssembly } from './without-webassembly.js'

/** Functions of other modules. An import would make bundlers split those modules off from the script of every page. */
interface Tools {
  readonly hasRelaxedSimd: typeof hasRelaxedSimd
  readonly VerifyError: typeof VerifyError
}

/** Compiles the module from a script that contains it. `cause` is the error of the module's file. */
export function compileFallback({ hasRelaxedSimd, VerifyError }: Tools, cause: unknown): WebAssembly.Module {
  if (typeof WebAssembly === 'undefined') throw refuseWithoutWebAssembly(VerifyError, cause)
  return compileBase64(hasRelaxedSimd() ? relaxed : portable)
}
