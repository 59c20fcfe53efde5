import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import * as inline from 'countersign/inline'
import { build } from 'vite'
import { makeKey, makeToken, options } from './package-tokens.js'
import { runVectors } from './support/vectors.js'

const key = makeKey('k1')
const vectors = new URL('../vectors/', import.meta.url)

test('countersign/inline makes a verifier synchronously', async () => {
  const verifier = inline.createVerifierSync(options([key]))
  assert.equal(verifier.verifySync(makeToken(key)).payload.sub, 'somebody')
  assert.equal((await inline.createVerifier(options([key]))).verifySync(makeToken(key)).payload.sub, 'somebody')
  assert.throws(() => inline.createVerifierSync({}), { code: 'options_invalid' })
})

test('countersign/inline exports the names of the other entry points and one more', async () => {
  const names = Object.keys(await import('countersign'))
  assert.deepEqual(Object.keys(inline).sort(), [...names, 'createVerifierSync'].sort())
  assert.equal(createRequire(import.meta.url)('countersign/inline').createVerifierSync, inline.createVerifierSync)
})

for (const name of await readdir(vectors)) {
  test(`every vector of ${name} has its verdict in countersign/inline`, async () => {
    const disagreements = await runVectors(inline, JSON.parse(await readFile(new URL(name, vectors), 'utf8')))
    assert.deepEqual(disagreements, [])
  })
}

test('a bundle of countersign/inline is one script without other files', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'countersign-inline-'))
  t.after(() => rm(folder, { recursive: true }))
  const entry = fileURLToPath(new URL('support/inline-entry.js', import.meta.url))
  await build({ logLevel: 'error', root: folder, build: { outDir: folder, lib: { entry, formats: ['es'], fileName: 'script' } } })
  const files = await readdir(folder)
  assert.deepEqual(files, ['script.mjs'])
  const job = JSON.stringify({ token: makeToken(key), options: { ...options([key]), now: undefined } })
  const { stdout } = await promisify(execFile)(process.execPath, [join(folder, 'script.mjs')], { env: { ...process.env, JOB: job } })
  assert.equal(stdout, 'somebody\n')
})
