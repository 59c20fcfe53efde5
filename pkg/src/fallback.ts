import { compileBase64 } from './compile.js'
import type { refuse } from './errors.js'
import type { hasRelaxedSimd } from './relaxed.js'
import { portable, relaxed } from './wasm/bytes.js'
import { refuseWithoutWebAssembly } from './without-webassembly.js'

/**
 * Compiles the module from its bytes in this script. `cause` is the error of the module's file. The others are arguments,
 * because an import would make bundlers split their modules off from the script of every page.
 */
export function compileFallback(cause: unknown, isRelaxed: typeof hasRelaxedSimd, make: typeof refuse): WebAssembly.Module {
  if (typeof WebAssembly === 'undefined') throw refuseWithoutWebAssembly(make, cause)
  return compileBase64(isRelaxed() ? relaxed : portable)
}
