// The page with all refusals: each case is refused with its code, and says what docs/errors.md says.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createTestIssuer } from 'countersign/testing'
import { STAGE_OF } from '../../pkg/dist/errors.js'
import { CASES, refusalOf } from '../../www/page/refusal-cases.js'
import { read, table } from './support/documents.js'

const issuer = await createTestIssuer({ issuer: 'https://this-page.example' })

test('the page has each code of the verifier, in its order', () => {
  assert.deepEqual(CASES.map(({ code }) => code), Object.keys(STAGE_OF))
})

for (const example of CASES) {
  test(`${example.code}: the verifier gives this code`, async () => {
    const error = await refusalOf(example, issuer)
    assert.equal(error?.code, example.code, error?.message)
    assert.equal(error.stage, STAGE_OF[example.code])
  })
}

test('each RFC and section is the one of docs/errors.md', () => {
  const [, ...rows] = table(read('docs/errors.md'), 'All codes')
  for (const [row, { code, rfc, section }] of rows.map((row, i) => [row, CASES[i]])) {
    const named = /^\[RFC (\d+) §([\d.]+)\]/.exec(row[4])
    assert.deepEqual([rfc, section], named === null ? [undefined, undefined] : [Number(named[1]), named[2]], code)
  }
})
