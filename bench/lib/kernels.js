// The kernels without the token around the signature. `bench/kernel` compiles them from the verifier's own files.
import { measure } from './measure.js'
import { moduleInUse } from './module.js'

/** The builds of the kernels' module, named like the package's modules. */
const BUILDS = ['countersign.relaxed.wasm', 'countersign.wide.wasm', 'countersign.wasm']

/** By the return value of the module's `load`. */
const KINDS = ['', 'portable kernel', 'wide kernel', 'relaxed kernel']

/**
 * Compiles the builds that the engine accepts, that of the package first. It may lack relaxed SIMD or wide arithmetic.
 *
 * @param {(build: string) => Promise<BufferSource>} read returns the bytes of a build
 */
export async function compileKernels(read) {
  const modules = {}
  for (const build of new Set([await moduleInUse(), ...BUILDS])) {
    const bytes = await read(build)
    if (WebAssembly.validate(bytes)) modules[build] = await WebAssembly.compile(bytes)
  }
  return modules
}

/**
 * Measures the check of one RSA-2048 signature.
 *
 * @param {{ [build: string]: WebAssembly.Module }} modules that of the package first
 * @param {import('./measure.js').Contestant[]} others other ways to check the signature
 * @param {Awaited<ReturnType<typeof makeSignature>>} sample
 * @param {number} rounds
 * @param {import('./measure.js').Clock} [clock]
 */
export async function measureKernels(modules, others, { octets, size }, rounds, clock) {
  const contestants = []
  for (const [build, module] of Object.entries(modules)) {
    const { exports } = await WebAssembly.instantiate(module, { bench: { octet: (index) => octets[index] } })
    const { load, run } = exports
    const kind = load(size)
    if (kind === 0 || run(1) !== 1) throw new Error(`the kernel in ${build} refuses a good signature`)
    contestants.push({ name: `${KINDS[kind]} (${build})`, run: (items) => void run(items.length) })
  }
  return measure([...contestants, ...others], [null], rounds, clock)
}

/** Returns a signature and the input of its check: modulus, signature and hash, in one array. */
export async function makeSignature(key) {
  const message = crypto.getRandomValues(new Uint8Array(300))
  const signature = new Uint8Array(await crypto.subtle.sign('RSASSA-PKCS1-v1_5', key.privateKey, message))
  const modulus = Uint8Array.from(atob(key.jwk.n.replaceAll('-', '+').replaceAll('_', '/')), (octet) => octet.charCodeAt(0))
  const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', message))
  return { message, signature, size: modulus.length, octets: Uint8Array.of(...modulus, ...signature, ...hash) }
}
