// A stack overflow or a trap inside the WebAssembly module must not affect later calls.
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import * as countersign from 'countersign'
import { claims, makeKey, makeToken, NOW, options } from './package-tokens.js'
import { callNearTheEnd } from './support/stack.js'
import { runVectors } from './support/vectors.js'

const key = makeKey('k1')
const token = makeToken(key)
const nested = makeToken(key, JSON.stringify(claims({ deep: 0 })).replace('"deep":0', `"deep":${'['.repeat(60)}${']'.repeat(60)}`))
const { createVerifier } = countersign

test('after stack overflows inside the module every verifier and vector has its verdict', async () => {
  const one = await createVerifier(options([key]))
  const other = await createVerifier(options([key], { issuer: 'https://other.example' }))
  let exceptions = 0
  for (let round = 0; round < 40; round++) exceptions += callNearTheEnd(() => one.verifySync(round % 2 ? nested : token))
  assert.ok(exceptions > 80)
  assert.equal(one.verifySync(token).payload.sub, 'somebody')
  assert.throws(() => other.verifySync(token), { code: 'issuer_mismatch' })
  assert.throws(() => one.verifySync(makeToken(makeKey('k1'))), { code: 'signature_invalid' })
  const folder = new URL('../vectors/', import.meta.url)
  for (const file of readdirSync(folder)) {
    assert.deepEqual(await runVectors(countersign, JSON.parse(readFileSync(new URL(file, folder), 'utf8'))), [])
  }
})

/** Pretends to be the trap of a refused memory.grow. */
function damage(verifier) {
  const { encodeInto } = TextEncoder.prototype
  TextEncoder.prototype.encodeInto = () => {
    throw new WebAssembly.RuntimeError('unreachable')
  }
  try {
    assert.throws(() => verifier.verifySync(token), { name: 'Error', message: /WebAssembly module failed \(RuntimeError: unreachable\)/ })
  } finally {
    TextEncoder.prototype.encodeInto = encodeInto
  }
}

test('a trap is an error that says so, and the next call works, with the same policy and keys', async () => {
  const one = await createVerifier(options([key]))
  const other = await createVerifier(options([key]))
  damage(one)
  for (const verifier of [other, one, await createVerifier(options([key]))]) {
    assert.equal(verifier.verifySync(token).payload.sub, 'somebody')
    assert.throws(() => verifier.verifySync(makeToken(key, claims({ exp: NOW }))), { code: 'token_expired' })
  }
  assert.deepEqual(one.keys(), { keys: [key.jwk] })
})

test('an exception while policy and keys are set again leaves no verifier without them', async () => {
  const verifier = await createVerifier(options([key]))
  const { decode } = TextDecoder.prototype
  for (const completed of [0, 1]) {
    damage(verifier)
    let calls = 0
    TextDecoder.prototype.decode = function (...bytes) {
      if (calls++ === completed) throw new RangeError('pretends to be a stack overflow')
      return decode.apply(this, bytes)
    }
    try {
      assert.throws(() => verifier.verifySync(token), /pretends/)
    } finally {
      TextDecoder.prototype.decode = decode
    }
    assert.equal(verifier.verifySync(token).payload.sub, 'somebody')
  }
})

test('a new verifier does not use a damaged instance', async () => {
  damage(await createVerifier(options([key])))
  const { Instance } = WebAssembly
  const { register } = FinalizationRegistry.prototype
  let restarted = false
  WebAssembly.Instance = class extends Instance {
    constructor(...args) {
      super(...args)
      restarted = true
    }
  }
  // Pretends that the damaged instance can make no verifier.
  FinalizationRegistry.prototype.register = function (...args) {
    if (!restarted) throw new WebAssembly.RuntimeError('unreachable')
    register.apply(this, args)
  }
  try {
    await createVerifier(options([key]))
  } finally {
    WebAssembly.Instance = Instance
    FinalizationRegistry.prototype.register = register
  }
})
