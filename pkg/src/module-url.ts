import { hasRelaxedSimd } from './relaxed.js'

/** Returns the URL of the WebAssembly module for this engine. Bundlers find a file only by a URL in exactly this form. */
export function moduleUrl(): URL {
  return hasRelaxedSimd()
    ? new URL('./wasm/countersign.relaxed.wasm', import.meta.url)
    : new URL('./wasm/countersign.wasm', import.meta.url)
}
