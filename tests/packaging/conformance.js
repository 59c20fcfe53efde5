// The conformance test of the package. This file and the one that it imports are copied into every project of the matrix,
// beside `main.js`, and use only what all runtimes have.
import { runVectors, WAYS } from './vectors.js'

/** In the order of their numbers. */
const KERNELS = ['portable', 'wide', 'relaxed']

/**
 * Fetches the job from `address`, does it, posts the result to the same address, and returns it.
 *
 * @param {typeof import('countersign')} countersign the package
 * @param {string} address of this run's job
 * @param {{ kernel_in_use: () => number }} [module] the exports of its WebAssembly module, if it is not instantiated by
 *   `new WebAssembly.Instance`
 * @returns {Promise<{ problems: string[] }>}
 */
export async function conform(countersign, address, module) {
  // Only some engines begin the stack with the message.
  const result = await run(countersign, address, module).catch((error) => ({ problems: [`${error}\n${error?.stack}`] }))
  await fetch(address, { method: 'POST', body: JSON.stringify(result) })
  return result
}

async function run(countersign, address, module) {
  const { options, token, tampered, vectors, ways = Object.keys(WAYS) } = await (await fetch(address)).json()
  const exports = watchInstances()
  const verifier = await countersign.createVerifier(options)
  const problems = [
    ...(await problemsOf('the token of the issuer', () => verifier.verify(token), 'ok')),
    ...(await problemsOf('the token that was tampered with', () => verifier.verify(tampered), 'signature_invalid')),
    ...(await runVectors(countersign, vectors, Object.fromEntries(ways.map((way) => [way, WAYS[way]])))),
  ]
  // Without WebAssembly, the portable kernel runs in JavaScript.
  const kernel = KERNELS[(module ?? exports())?.kernel_in_use() ?? 0]
  return { problems, vectors: vectors.length, kernel }
}

async function problemsOf(name, verify, expected) {
  const code = await verify().then(() => 'ok', (error) => error.code ?? String(error))
  return code === expected ? [] : [`${name}: ${code}, expected ${expected}`]
}

/** Returns a function that returns the exports of the last instantiated module, which name the kernel, if there is one. */
function watchInstances() {
  let last
  if (typeof WebAssembly === 'undefined') return () => last
  const { Instance } = WebAssembly
  WebAssembly.Instance = function (...args) {
    last = new Instance(...args)
    return last
  }
  return () => last?.exports
}
