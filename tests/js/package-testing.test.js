// countersign/testing, with the verifier that it is for.
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import { createVerifier, decodeUnverified } from 'countersign'
import { createTestIssuer } from 'countersign/testing'

const { options, sign } = await createTestIssuer()
const verifier = await createVerifier(options)

test('a token of the test issuer is accepted, with the claims that were given', async () => {
  const { header, payload } = verifier.verifySync(await sign({ sub: 'josé', roles: ['reader'] }))
  assert.deepEqual(header, { alg: 'RS256', typ: 'at+jwt', kid: 'test' })
  assert.deepEqual({ sub: payload.sub, roles: payload.roles }, { sub: 'josé', roles: ['reader'] })
  assert.equal(payload.exp - payload.iat, 300)
})

test('claims and header parameters can be replaced and left out', async () => {
  const cases = [
    { claims: { exp: 1 }, code: 'token_expired' },
    { claims: { aud: undefined }, code: 'claim_missing' },
    { claims: { iss: 'https://other.example' }, code: 'issuer_mismatch' },
    { header: { typ: undefined }, code: 'type_mismatch' },
    { header: { alg: 'HS256' }, code: 'algorithm_not_allowed' },
    { header: { kid: 'k2' }, code: 'key_not_found' },
  ]
  for (const { claims, header, code } of cases) {
    const token = await sign(claims, header)
    assert.throws(() => verifier.verifySync(token), { code })
  }
})

test('a token of another test issuer has a wrong signature', async () => {
  const other = await createTestIssuer()
  const token = await other.sign()
  assert.throws(() => verifier.verifySync(token), { code: 'signature_invalid' })
  assert.equal((await createVerifier(other.options)).verifySync(token).payload.aud, 'api')
})

test('the names of a test issuer can be chosen', async () => {
  const { options, sign } = await createTestIssuer({ issuer: 'https://auth.example', audience: 'orders' })
  const { iss, aud } = decodeUnverified(await sign()).payload
  assert.deepEqual([options.issuer, options.audience, iss, aud], ['https://auth.example', 'orders', 'https://auth.example', 'orders'])
})

test('the options hold no private key, and require() finds the function', async () => {
  assert.deepEqual(Object.keys(options.jwks.keys[0]).sort(), ['alg', 'e', 'kid', 'kty', 'n', 'use'])
  const require = createRequire(import.meta.url)
  assert.equal(require('countersign/testing').createTestIssuer, createTestIssuer)
  const { sign } = await require('../../pkg/dist/commonjs/testing.js').createTestIssuer()
  assert.equal(decodeUnverified(await sign()).payload.aud, 'api')
})
