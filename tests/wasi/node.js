// Runs a module for WASI preview 1 in Node.js: `cargo test` starts it as the target's runner, with the path of the module
// and what the test harness is to be told. V8 is the engine that most tokens meet, so the fast kernel is tested in it.
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { setFlagsFromString } from 'node:v8'
import { WASI } from 'node:wasi'

// Node.js 20 and 21 know relaxed SIMD but do not let it in by themselves; for later ones the flag is gone.
if (parseInt(process.versions.node) < 22) setFlagsFromString('--experimental-wasm-relaxed-simd')

// proptest looks for the sources, and keeps beside them what failed.
const preopens = { '/': fileURLToPath(new URL('../..', import.meta.url)) }
const [path, ...args] = process.argv.slice(2)
const wasi = new WASI({ version: 'preview1', args: [path, ...args], preopens })
const module = await WebAssembly.compile(await readFile(path))
process.exitCode = wasi.start(await WebAssembly.instantiate(module, wasi.getImportObject()))
