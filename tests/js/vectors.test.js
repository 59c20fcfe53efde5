import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import * as countersign from 'countersign'
import { runVectors } from './support/vectors.js'

const runner = fileURLToPath(new URL('support/run-vectors.js', import.meta.url))

// Node.js 20 and 21 have relaxed SIMD behind a flag, which later versions do not know.
const relaxedFlags = parseInt(process.versions.node) < 22 ? ['--experimental-wasm-relaxed-simd'] : []

for (const [build, flags] of [['portable', []], ['relaxed', relaxedFlags]]) {
  test(`every vector has its verdict in the ${build} WebAssembly module`, async (t) => {
    const { stdout } = await promisify(execFile)(process.execPath, [...flags, runner, build], { maxBuffer: 1 << 26 })
    const { asked, files } = JSON.parse(stdout)
    assert.equal(asked, 1, 'the package looked for relaxed SIMD')
    assert.notEqual(Object.keys(files).length, 0, 'there are vector files')
    for (const [name, { count, disagreements }] of Object.entries(files)) {
      await t.test(`${count} vectors of ${name}`, () => assert.equal(disagreements.length, 0, disagreements.join('\n')))
    }
  })
}

test('the runner reports a wrong verdict', async () => {
  const path = new URL('../vectors/accepted.json', import.meta.url)
  const vectors = JSON.parse(readFileSync(path, 'utf8')).slice(0, 1)
  const wrong = vectors.map((vector) => ({ ...vector, expect: 'token_expired' }))
  assert.equal((await runVectors(countersign, wrong)).length, 2)
  assert.equal((await runVectors(countersign, [])).length, 1)
})
