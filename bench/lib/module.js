// The package's WebAssembly module in this runtime.

/** Returns the name of the module that the package loads. Asks the package's own probe, which its API does not expose. */
export async function moduleInUse() {
  if (globalThis.Bun) return 'countersign.wide.wasm'
  try {
    const { hasRelaxedSimd } = await import('../../pkg/dist/relaxed.js')
    return hasRelaxedSimd() ? 'countersign.relaxed.wasm' : 'countersign.wasm'
  } catch {
    return 'countersign.wasm'
  }
}
