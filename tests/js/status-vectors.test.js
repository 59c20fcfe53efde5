import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import * as countersign from 'countersign'
import { statusList } from 'countersign/status'
import { runStatusVectors } from './support/status-vectors.js'

const vectors = JSON.parse(readFileSync(new URL('../status_lists.json', import.meta.url), 'utf8'))

test('every vector of a status list has its verdict', async () => {
  const disagreements = await runStatusVectors({ ...countersign, statusList }, vectors)
  assert.equal(disagreements.length, 0, disagreements.join('\n'))
})

test('the runner reports a wrong verdict', async () => {
  const wrong = vectors.slice(0, 1).map((vector) => ({ ...vector, expect: 'token_expired' }))
  assert.equal((await runStatusVectors({ ...countersign, statusList }, wrong)).length, 4)
  assert.equal((await runStatusVectors({ ...countersign, statusList }, [])).length, 1)
})
