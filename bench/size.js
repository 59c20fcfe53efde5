// The bytes that a browser downloads to verify tokens, and the contents of the WebAssembly modules.
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { brotliCompressSync, constants, gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import * as vite from 'vite'
import { printTable, writeResults } from './report.js'

/** The targets of the design for JavaScript and one module, minified, with brotli. */
const [LIMIT, AIM] = [26 * 1024, 20 * 1024]
const MODULES = ['countersign.wasm', 'countersign.relaxed.wasm']
const SHOWN = 25

/**
 * @param {{ out: string, twiggy: string }} setting `out`: the folder of the results, with modules that kept the names of their
 *   functions in `named`; `twiggy`: the path of that program
 */
export async function runSize({ out, twiggy }) {
  const { page, prepare } = await bundle('countersign.js')
  const [script, forOtherOptions] = [sizesOf(page), sizesOf(prepare)]
  const byVite = sizesOf(await bundleWithVite('countersign.js'))
  const modules = MODULES.map((name) => ({ name, sizes: sizesOf(readFileSync(new URL(`../pkg/dist/wasm/${name}`, import.meta.url))) }))
  const totals = modules.map(({ name, sizes }) => ({ name: `JavaScript and ${name}`, sizes: add(script, sizes) }))
  const jose = sizesOf((await bundle('jose.js')).page)

  const row = (name, { raw, gzip, brotli }) => [name, kib(raw), kib(gzip), kib(brotli)]
  printTable('the download of a browser, built by esbuild, minified (KiB)', ['', 'raw', 'gzip', 'brotli'], [
    row('countersign, JavaScript', script),
    row('countersign, JavaScript built by Vite', byVite),
    row('countersign, the script for other options', forOtherOptions),
    ...modules.map(({ name, sizes }) => row(name, sizes)),
    ...totals.map(({ name, sizes }) => row(name, sizes)),
    row('jose', jose),
  ])
  for (const { name, sizes: { brotli } } of totals) {
    const verdict = brotli <= AIM ? 'within the aim' : brotli <= LIMIT ? 'within the limit' : 'OVER THE LIMIT'
    console.log(`    ${name}: ${kib(brotli)} KiB, ${verdict} (limit ${kib(LIMIT)}, aim ${kib(AIM)})`)
  }

  const contents = MODULES.map((name) => contentsOf(twiggy, name, join(out, 'named', name)))
  contents.forEach(printContents)
  await writeResults(out, 'size', { script, byVite, forOtherOptions, modules, totals, jose, contents })
}

/**
 * Builds a page with esbuild, which adds nothing of its own. Returns its scripts by name. The page loads `page`. Others hold
 * code that is imported only if it is used.
 */
async function bundle(entry) {
  const { outputFiles } = await build({
    entryPoints: { page: pathOf(entry) },
    bundle: true,
    splitting: true,
    minify: true,
    format: 'esm',
    target: 'es2022',
    outdir: 'out',
    write: false,
  })
  const scripts = Object.fromEntries(outputFiles.map(({ path, text }) => [/\w+(?=[^/\\]*$)/.exec(path)[0], text]))
  return { ...scripts, page: onlyScript(scripts.page) }
}

/** The same with Vite, which adds a helper for `import()`. */
async function bundleWithVite(entry) {
  const { output } = await vite.build({
    configFile: false,
    logLevel: 'error',
    build: { write: false, target: 'es2022', rolldownOptions: { input: pathOf(entry) } },
  })
  return onlyScript(output.find(({ isEntry }) => isEntry).code)
}

function pathOf(entry) {
  return fileURLToPath(new URL(`download/${entry}`, import.meta.url))
}

function onlyScript(script) {
  if (/\bimport[^(]*?from/.test(script)) throw new Error('the page loads more than one script')
  return script
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

/** Returns bytes by kind, by crate and by function, the most first. Inlined code counts for the function around it. */
function contentsOf(twiggy, name, path) {
  const items = JSON.parse(execFileSync(twiggy, ['top', '-n', '100000', '-f', 'json', path], { encoding: 'utf8' }))
  const [kinds, crates, functions] = [new Map(), new Map(), []]
  const count = (sizes, key, size) => sizes.set(key, (sizes.get(key) ?? 0) + size)
  for (const { name: item, shallow_size: size } of items) {
    // rustc adds hashes to names, in two ways.
    const name = item.replace(/::h[0-9a-f]{16}$|\[[0-9a-f]{16}\]/g, '')
    const kind = kindOf(name)
    // The package's modules have no names.
    if (kind === 'names') continue
    count(kinds, kind, size)
    if (kind !== 'code') continue
    count(crates, crateOf(name), size)
    functions.push({ name, size })
  }
  const listed = (sizes) => [...sizes].map(([name, size]) => ({ name, size })).sort((a, b) => b.size - a.size)
  return { module: name, kinds: listed(kinds), crates: listed(crates), functions: functions.slice(0, SHOWN) }
}

/** Returns the kind of an item by twiggy's name for it. */
function kindOf(name) {
  if (/^"|^custom section/.test(name)) return 'names'
  if (name.startsWith('data segment')) return 'data'
  return /^(type|import|table|memory|global|elem)\b.*\[|^(import|export) | headers$|^wasm magic/.test(name) ? 'other sections' : 'code'
}

/** Returns the crate of a function: `a` for `<a::B as c::D>::e`. */
function crateOf(name) {
  const [, crate] = /^[<&([*\s]*(?:mut |dyn |const )*([A-Za-z_]\w*)::/.exec(name) ?? []
  return crate ?? 'exports and compiler built-ins'
}

function printContents({ module, kinds, crates, functions }) {
  const rows = (entries) => entries.map(({ name, size }) => [name, size])
  printTable(`${module} by kind`, ['', 'bytes'], rows(kinds))
  printTable(`${module}: code by crate`, ['', 'bytes'], rows(crates))
  printTable(`${module}: the ${functions.length} largest functions`, ['', 'bytes'], rows(functions))
}
