// Runs a module for WASI preview 1 in Node.js. `cargo test` starts it as the target's runner, with the path of the module
// and the arguments of the test harness. Most tokens are verified in V8, so the relaxed kernel is tested in it.
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { setFlagsFromString } from 'node:v8'
import { WASI } from 'node:wasi'

// Node.js 20 and 21 support relaxed SIMD only with a flag. Later versions do not have the flag.
if (parseInt(process.versions.node) < 22) setFlagsFromString('--experimental-wasm-relaxed-simd')

// proptest looks for the sources, and saves failed inputs beside them.
const preopens = { '/': fileURLToPath(new URL('../..', import.meta.url)) }
const [path, ...args] = process.argv.slice(2)
const wasi = new WASI({ version: 'preview1', args: [path, ...args], preopens })
const module = await WebAssembly.compile(await readFile(path))
process.exitCode = wasi.start(await WebAssembly.instantiate(module, wasi.getImportObject()))
