import { moduleUrl } from 'countersign/module-url'

/** By the number that the module returns. */
const KERNELS = [
  { name: 'portable', words: 'whole numbers of 32 bits, without SIMD' },
  { name: 'wide', words: 'whole numbers of 64 bits' },
  { name: 'relaxed', words: 'relaxed SIMD with fused multiply-add, two numbers at once' },
]

/**
 * Asks an instance of the package's WebAssembly module, the one for this engine, which kernel computes with RSA keys here. It
 * tests the processor itself: an engine with relaxed SIMD may lack fused multiply-add.
 *
 * @returns {Promise<{ name: string, words: string, file: string }>} `file` is the module's name
 */
export async function kernelInUse() {
  const url = moduleUrl()
  const { instance } = await WebAssembly.instantiate(await (await fetch(url)).arrayBuffer())
  return { ...KERNELS[instance.exports.kernel_in_use()], file: url.pathname.split('/').at(-1) }
}
