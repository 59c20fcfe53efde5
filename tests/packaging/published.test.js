// The package as it is published: the content of the tarball, and its package.json in the eyes of npm's linters.
import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { publint } from 'publint'
import { formatMessage } from 'publint/utils'
import { pack, run } from './project.js'

const MODULES = ['countersign.relaxed.wasm', 'countersign.wasm', 'countersign.wide.wasm']
const PACKAGE = fileURLToPath(new URL('../../pkg/', import.meta.url))
const require = createRequire(import.meta.url)
const attw = join(dirname(require.resolve('@arethetypeswrong/cli/package.json')), 'dist/index.js')

let folder, tarball, files, manifest

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'countersign-tarball-'))
  ;({ tarball, files } = await pack(folder))
  manifest = JSON.parse(await readFile(join(PACKAGE, 'package.json'), 'utf8'))
})
after(() => rm(folder, { recursive: true }))

test('the tarball contains only the package', () => {
  const beside = files.filter((path) => !path.startsWith('dist/')).sort()
  assert.deepEqual(beside, ['LICENSE-APACHE', 'LICENSE-MIT', 'README.md', 'package.json'])
  const kinds = new Set(files.filter((path) => path.startsWith('dist/')).map((path) => path.replace(/.*?((\.d)?\.\w+)$/, '$1')))
  assert.deepEqual([...kinds].sort(), ['.d.ts', '.js', '.json', '.wasm'])
  assert.deepEqual(files.filter((path) => path.endsWith('.wasm')).sort(), MODULES.map((name) => `dist/wasm/${name}`))
  assert.deepEqual(files.filter((path) => /\.json$/.test(path) && path.startsWith('dist/')), ['dist/commonjs/package.json'])
})

test('every path that package.json names is in the tarball', () => {
  const named = [manifest.main, manifest.browser, manifest['react-native'], manifest.types, ...Object.values(manifest.bin), ...leaves(manifest.exports), ...leaves(manifest.typesVersions)]
  assert.deepEqual(named.map((path) => path.replace(/^\.\//, '')).filter((path) => !files.includes(path)), [])
})

test('every entry point has its types beside it, and all have the same exports', async () => {
  const entries = leaves(manifest.exports).filter((path) => path.endsWith('.js'))
  assert.deepEqual(entries.map((path) => path.replace(/^\.\/(.*)\.js$/, '$1.d.ts')).filter((path) => !files.includes(path)), [])
  for (const entry of leaves(manifest.exports['.']).filter((path) => !path.includes('commonjs'))) {
    const text = await readFile(join(PACKAGE, entry), 'utf8')
    const exported = text.split('\n').filter((line) => line.startsWith('export '))
    assert.deepEqual(exported, ['export { VerifyError, createVerifier, decodeUnverified, expiry };'], entry)
  }
})

test('the package has no dependencies, no install scripts, and is published with provenance', () => {
  const { dependencies, peerDependencies, optionalDependencies, scripts, publishConfig } = manifest
  assert.deepEqual({ dependencies, peerDependencies, optionalDependencies }, { dependencies: undefined, peerDependencies: undefined, optionalDependencies: undefined })
  assert.deepEqual(Object.keys(scripts).filter((name) => /install|prepare/.test(name)), [])
  assert.deepEqual(publishConfig, { access: 'public', provenance: true })
})

test('publint finds no problem', async () => {
  const { messages } = await publint({ pkgDir: PACKAGE, strict: true, pack: 'npm' })
  // Parcel reads `browser`, but not `exports`.
  const problems = messages.filter(({ code }) => code !== 'USE_EXPORTS_BROWSER')
  assert.deepEqual(problems.map((message) => formatMessage(message, manifest)), [])
})

test('the types are right for every module resolution', async () => {
  // Each tool has its own types for the import of a WebAssembly file.
  const { stdout } = await run(process.execPath, [attw, tarball, '--format', 'json', '--exclude-entrypoints', ...MODULES])
  const { analysis, problems } = JSON.parse(stdout)
  assert.deepEqual(problems ?? {}, {})
  const resolutions = Object.entries(analysis.entrypoints).flatMap(([name, { resolutions }]) => Object.keys(resolutions).map((way) => `${name} ${way}`))
  assert.equal(resolutions.length, 9 * 4)
})

/** Returns every string in an object of objects. */
function leaves(value) {
  return typeof value === 'string' ? [value] : Object.values(value).flatMap(leaves)
}
