import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { build } from 'vite'

const run = promisify(execFile)
const here = dirname(fileURLToPath(import.meta.url))
const require = createRequire(import.meta.url)

test('import() in CommonJS loads the package without output', async () => {
  const program = `import('countersign').then(({ VerifyError }) => console.log(VerifyError.name))`
  const { stdout, stderr } = await run(process.execPath, ['--input-type=commonjs', '--eval', program], { cwd: here })
  assert.deepEqual({ stdout, stderr }, { stdout: 'VerifyError\n', stderr: '' })
})

test('require() and import return the same module', () => {
  const { VerifyError } = require('countersign')
  return import('countersign').then((module) => assert.equal(module.VerifyError, VerifyError))
})

/** The modules that browsers load. */
const forBrowsers = ['countersign.relaxed.wasm', 'countersign.wasm']

for (const name of [...forBrowsers, 'countersign.wide.wasm']) {
  test(`the sub-path ${name} has the bytes`, async () => {
    const bytes = await readFile(require.resolve(`countersign/${name}`))
    assert.doesNotMatch(bytes.toString('latin1'), /countersign_verifier/, 'has a name section')
  })
}

test('only the public names are exported, and no other file can be imported', async () => {
  const names = ['VerifyError', 'createVerifier', 'decodeUnverified', 'expiry']
  assert.deepEqual(Object.keys(await import('countersign')).sort(), names)
  await assert.rejects(import('countersign/dist/errors.js'), { code: 'ERR_PACKAGE_PATH_NOT_EXPORTED' })
})

test('a Vite build has each WebAssembly module of browsers exactly once, and nothing of Node.js', async (t) => {
  const outDir = await mkdtemp(join(tmpdir(), 'countersign-vite-'))
  t.after(() => rm(outDir, { recursive: true }))
  await build({ root: join(here, 'vite-page'), logLevel: 'error', build: { outDir, target: 'es2022' } })
  const files = await readdir(outDir, { recursive: true })
  const emitted = files.filter((file) => file.endsWith('.wasm')).map((file) => readFile(join(outDir, file), 'base64'))
  const packaged = forBrowsers.map((name) => readFile(require.resolve(`countersign/${name}`), 'base64'))
  assert.deepEqual((await Promise.all(emitted)).sort(), (await Promise.all(packaged)).sort())
  // Code that few pages need is in scripts of its own, which are loaded only if they are used.
  const scripts = files.filter((file) => file.endsWith('.js')).sort()
  assert.deepEqual(scripts.map((file) => /\b[a-z]+(?=-)/.exec(file)[0]), ['fallback', 'index', 'prepare', 'words'])
  for (const script of scripts) {
    assert.doesNotMatch(await readFile(join(outDir, script), 'utf8'), /node:fs|readFileSync|data:application\/wasm/)
  }
})
