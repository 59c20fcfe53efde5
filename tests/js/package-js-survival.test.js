// An exception inside the JavaScript of countersign/js must not affect later calls.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createVerifierSync } from 'countersign/js'
import { claims, makeKey, makeToken, NOW, options } from './package-tokens.js'
import { callNearTheEnd } from './support/stack.js'

const key = makeKey('k1')
const token = makeToken(key)

// The JavaScript takes this function when the first verifier is made.
const { imul } = Math
let fails = false
Math.imul = (a, b) => {
  if (fails) throw new RangeError('pretends to be a stack overflow')
  return imul(a, b)
}

const one = createVerifierSync(options([key]))
const other = createVerifierSync(options([key], { issuer: 'https://other.example' }))

function assertVerdicts() {
  assert.equal(one.verifySync(token).payload.sub, 'somebody')
  assert.throws(() => other.verifySync(token), { code: 'issuer_mismatch' })
  assert.throws(() => one.verifySync(makeToken(makeKey('k1'))), { code: 'signature_invalid' })
  assert.throws(() => one.verifySync(makeToken(key, claims({ exp: NOW }))), { code: 'token_expired' })
}

test('after stack overflows inside the JavaScript every verifier has its verdict', () => {
  let exceptions = 0
  for (let round = 0; round < 10; round++) exceptions += callNearTheEnd(() => one.verifySync(token))
  assert.ok(exceptions > 20)
  assertVerdicts()
})

test('after thousands of exceptions inside the JavaScript every verifier has its verdict', () => {
  for (let count = 0; count < 3000; count++) {
    fails = true
    assert.throws(() => one.verifySync(token), { message: /module failed \(RangeError: pretends/ })
    fails = false
  }
  assertVerdicts()
})
