/** Which of its WebAssembly modules the package loads here; it does not say, so that its own probe is asked. */
export async function moduleInUse() {
  try {
    const { hasRelaxedSimd } = await import('../../pkg/dist/relaxed.js')
    return hasRelaxedSimd() ? 'countersign.relaxed.wasm' : 'countersign.wasm'
  } catch {
    return 'countersign.wasm'
  }
}
