// What a browser downloads to verify tokens, and what the bytes of the WebAssembly module are.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { brotliCompressSync, constants, gzipSync } from 'node:zlib'
import { build } from 'vite'
import { printTable, writeResults } from './report.js'
import { crateOf, functionsOf } from './wasm-names.js'

/** What the design asks for: JavaScript and one module, minified, with brotli. */
const [LIMIT, AIM] = [30 * 1024, 20 * 1024]
const MODULES = ['countersign.wasm', 'countersign.relaxed.wasm']
const SHOWN = 25

/** @param {{ out: string, named: string }} values `named`: the folder of the modules with their functions' names */
export async function runSize({ out, named }) {
  const ours = await bundle('countersign.js')
  const theirs = await bundle('jose.js')
  const script = sizesOf(ours.script)
  const modules = MODULES.map((name) => ({ name, sizes: sizesOf(ours.assets.get(name)) }))
  const totals = modules.map(({ name, sizes }) => ({ name: `JavaScript and ${name}`, sizes: add(script, sizes) }))
  const jose = sizesOf(theirs.script)

  const row = (name, { raw, gzip, brotli }) => [name, kib(raw), kib(gzip), kib(brotli)]
  printTable('what a browser downloads, through Vite, minified (KiB)', ['', 'raw', 'gzip', 'brotli'], [
    row('countersign, JavaScript', script),
    ...modules.map(({ name, sizes }) => row(name, sizes)),
    ...totals.map(({ name, sizes }) => row(name, sizes)),
    row('jose', jose),
  ])
  for (const { name, sizes: { brotli } } of totals) {
    const verdict = brotli <= AIM ? 'within the aim' : brotli <= LIMIT ? 'within the limit' : 'OVER THE LIMIT'
    console.log(`    ${name}: ${kib(brotli)} KiB, ${verdict} (limit ${kib(LIMIT)}, aim ${kib(AIM)})`)
  }

  const contents = []
  for (const name of MODULES) contents.push(contentsOf(name, await readFile(join(named, name))))
  contents.forEach(printContents)
  await writeResults(out, 'size', { script, modules, totals, jose, contents })
}

/** The page's script, and its modules by the names that they have in the package. */
async function bundle(entry) {
  const root = fileURLToPath(new URL('download/', import.meta.url))
  const rolldownOptions = { input: join(root, entry), output: { codeSplitting: false } }
  const { output } = await build({
    root,
    logLevel: 'error',
    build: { write: false, target: 'es2022', modulePreload: false, rolldownOptions },
  })
  const chunks = output.filter(({ type }) => type === 'chunk')
  if (chunks.length !== 1) throw new Error(`${entry} became ${chunks.length} scripts, expected one`)
  const assets = output.filter(({ type }) => type === 'asset').map(({ names: [name], source }) => [name, source])
  return { script: chunks[0].code, assets: new Map(assets) }
}

function sizesOf(content) {
  const bytes = Buffer.from(content)
  const params = { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length }
  return { raw: bytes.length, gzip: gzipSync(bytes, { level: 9 }).length, brotli: brotliCompressSync(bytes, { params }).length }
}

function add(a, b) {
  return { raw: a.raw + b.raw, gzip: a.gzip + b.gzip, brotli: a.brotli + b.brotli }
}

function kib(bytes) {
  return (bytes / 1024).toFixed(1)
}

/** Bytes by section, by crate and by function, the most first. */
function contentsOf(name, bytes) {
  const { sections, functions } = functionsOf(bytes)
  const crates = new Map()
  for (const { name, size } of functions) crates.set(crateOf(name), (crates.get(crateOf(name)) ?? 0) + size)
  const listed = (pairs) => [...pairs].map(([name, size]) => ({ name, size })).sort((a, b) => b.size - a.size)
  return {
    module: name,
    sections: listed(sections),
    crates: listed(crates),
    functions: functions.toSorted((a, b) => b.size - a.size).slice(0, SHOWN),
  }
}

function printContents({ module, sections, crates, functions }) {
  const rows = (entries) => entries.map(({ name, size }) => [name, size])
  printTable(`${module} by section`, ['', 'bytes'], rows(sections))
  printTable(`${module}: code by crate`, ['', 'bytes'], rows(crates))
  printTable(`${module}: the ${functions.length} largest functions`, ['', 'bytes'], rows(functions))
}
