// countersign/js: the portable module as JavaScript. No other entry point is loaded in this process, because all share the
// module that is loaded first.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import * as countersign from 'countersign/js'
import { guard } from 'countersign/guard'
import { makeKey, makeToken, options } from './package-tokens.js'
import { runVectors } from './support/vectors.js'

const key = makeKey('k1')
const token = makeToken(key)
const { createVerifier, createVerifierSync, VerifyError } = countersign
const folder = new URL('../vectors/', import.meta.url)

for (const name of readdirSync(folder)) {
  test(`every vector of ${name} has its verdict in countersign/js`, async () => {
    assert.deepEqual(await runVectors(countersign, JSON.parse(readFileSync(new URL(name, folder), 'utf8'))), [])
  })
}

test('every vector has its verdict in countersign/js without WebAssembly, TextEncoder and TextDecoder', async () => {
  const program = fileURLToPath(new URL('support/run-vectors-js.js', import.meta.url))
  const { stdout } = await promisify(execFile)(process.execPath, ['--jitless', program], { maxBuffer: 1 << 26 })
  const { webAssembly, count, disagreements } = JSON.parse(stdout)
  assert.equal(webAssembly, 'undefined')
  assert.notEqual(count, 0)
  assert.deepEqual(disagreements, [])
})

test('countersign/js has the exports of countersign/inline, by import and by require()', () => {
  assert.deepEqual(Object.keys(countersign).sort(), ['VerifyError', 'createVerifier', 'createVerifierSync', 'decodeUnverified', 'expiry'])
  const require = createRequire(import.meta.url)
  assert.equal(require('countersign/js').createVerifierSync, createVerifierSync)
  const commonjs = require('../../pkg/dist/commonjs/js.js')
  assert.equal(commonjs.createVerifierSync(options([key])).verifySync(token).payload.sub, 'somebody')
})

test('countersign/js verifies for several issuers and behind a guard', async () => {
  const other = options([makeKey('k2')], { issuer: 'https://other.example' })
  const verifier = await createVerifier([other, options([key])])
  assert.equal(verifier.verifySync(token).payload.sub, 'somebody')
  const request = new Request('https://api.example', { headers: { authorization: `Bearer ${token}` } })
  assert.equal((await guard(request, verifier)).claims.sub, 'somebody')
  assert.throws(() => createVerifierSync({}), (error) => error instanceof VerifyError && error.code === 'options_invalid')
})
