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
import { makeKey, makeToken, options } from './package-tokens.js'

const run = promisify(execFile)
const here = dirname(fileURLToPath(import.meta.url))
const require = createRequire(import.meta.url)

const key = makeKey('k1')
const job = JSON.stringify({ token: makeToken(key), options: { ...options([key]), now: undefined } })
const body = `
  const { token, options } = JSON.parse(process.env.JOB)
  countersign.createVerifier({ ...options, now: () => 1_700_000_000 })
    .then((verifier) => console.log(verifier.verifySync(token).payload.sub))
`
const programs = {
  'require()': ['--input-type=commonjs', `const countersign = require('countersign')`],
  'import': ['--input-type=module', `import * as countersign from 'countersign'`],
  'import() in CommonJS': ['--input-type=commonjs', `import('countersign').then((countersign) => {`, '})'],
}
for (const [name, [type, before, after = '']] of Object.entries(programs)) {
  test(`the package loads through ${name}`, async () => {
    const program = [before, body, after].join('\n')
    const { stdout, stderr } = await run(process.execPath, [type, '--eval', program], { cwd: here, env: { ...process.env, JOB: job } })
    assert.equal(stdout, 'somebody\n')
    // Node 20 and 22 say of any require() of an ES module that it is experimental.
    assert.deepEqual(stderr.split('\n').filter((line) => line !== '' && !/ExperimentalWarning|--trace-warnings/.test(line)), [])
  })
}

test('require() and import give the same module', () => {
  const { VerifyError } = require('countersign')
  return import('countersign').then((module) => assert.equal(module.VerifyError, VerifyError))
})

const modules = ['countersign.relaxed.wasm', 'countersign.wasm']

for (const name of modules) {
  test(`the bytes of ${name} are a sub-path`, async () => {
    const bytes = await readFile(require.resolve(`countersign/${name}`))
    assert.doesNotMatch(bytes.toString('latin1'), /countersign_verifier/, 'has a name section')
  })
}

test('nothing but the public names is exported, and no file can be reached past them', async () => {
  const names = ['VerifyError', 'createVerifier', 'decodeUnverified', 'expiry']
  assert.deepEqual(Object.keys(await import('countersign')).sort(), names)
  await assert.rejects(import('countersign/dist/errors.js'), { code: 'ERR_PACKAGE_PATH_NOT_EXPORTED' })
})

const tsc = join(dirname(require.resolve('typescript/package.json')), 'bin/tsc')
const compilers = {
  nodenext: ['--module', 'nodenext', 'usage.ts', 'usage.cts'],
  bundler: ['--module', 'esnext', '--moduleResolution', 'bundler', 'usage.ts'],
}
for (const [name, args] of Object.entries(compilers)) {
  test(`the types hold what they promise with module resolution ${name}, without Node's own types`, async () => {
    const flags = ['--noEmit', '--strict', '--exactOptionalPropertyTypes', '--target', 'es2022', '--types', '']
    const { stdout } = await run(process.execPath, [tsc, ...flags, ...args], { cwd: join(here, 'types') })
      .catch(({ stdout }) => assert.fail(stdout))
    assert.equal(stdout, '')
  })
}

test('a Vite build holds each WebAssembly module exactly once, and nothing of Node', async (t) => {
  const outDir = await mkdtemp(join(tmpdir(), 'countersign-vite-'))
  t.after(() => rm(outDir, { recursive: true }))
  await build({ root: join(here, 'vite-page'), logLevel: 'error', build: { outDir, target: 'es2022' } })
  const files = await readdir(outDir, { recursive: true })
  const emitted = files.filter((file) => file.endsWith('.wasm')).map((file) => readFile(join(outDir, file), 'base64'))
  const packaged = modules.map((name) => readFile(require.resolve(`countersign/${name}`), 'base64'))
  assert.deepEqual((await Promise.all(emitted)).sort(), (await Promise.all(packaged)).sort())
  const [script, ...others] = files.filter((file) => file.endsWith('.js'))
  assert.deepEqual(others, [])
  const text = await readFile(join(outDir, script), 'utf8')
  assert.doesNotMatch(text, /node:fs|readFileSync|data:application\/wasm/)
})
