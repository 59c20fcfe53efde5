// The kernels without the token around the signature. `bench/kernel` compiles them from the verifier's own files.
import { measure } from './measure.js'

/** The builds of the kernels' module, named like the package's modules; the fastest first. */
export const BUILDS = ['countersign.relaxed.wasm', 'countersign.wide.wasm', 'countersign.wasm']

/** By the return value of the module's `load`. */
const KINDS = ['', 'portable kernel', 'wide kernel', 'relaxed kernel']

/**
 * Measures the check of one RSA-2048 signature.
 *
 * @param {{ [build: string]: BufferSource }} modules the bytes for each of `BUILDS`
 * @param {import('./measure.js').Contestant[]} others other ways to check the signature
 * @param {Awaited<ReturnType<typeof makeSignature>>} sample
 * @param {number} rounds
 */
export async function measureKernels(modules, others, { octets, size }, rounds) {
  const contestants = []
  for (const [build, bytes] of Object.entries(modules)) {
    // The engine may lack relaxed SIMD or wide arithmetic.
    if (!WebAssembly.validate(bytes)) continue
    const { instance } = await WebAssembly.instantiate(bytes, { bench: { octet: (index) => octets[index] } })
    const { load, run } = instance.exports
    const kind = load(size)
    if (kind === 0 || run(1) !== 1) throw new Error(`the kernel in ${build} refuses a good signature`)
    contestants.push({ name: `${KINDS[kind]} (${build})`, run: (items) => void run(items.length) })
  }
  return measure([...contestants, ...others], [null], rounds)
}

/** Returns a signature and the input of its check: modulus, signature and hash, in one array. */
export async function makeSignature(key) {
  const message = crypto.getRandomValues(new Uint8Array(300))
  const signature = new Uint8Array(await crypto.subtle.sign('RSASSA-PKCS1-v1_5', key.privateKey, message))
  const modulus = Uint8Array.from(atob(key.jwk.n.replaceAll('-', '+').replaceAll('_', '/')), (octet) => octet.charCodeAt(0))
  const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', message))
  return { message, signature, size: modulus.length, octets: Uint8Array.of(...modulus, ...signature, ...hash) }
}
