// An array of policies: the token's `iss` picks one of them.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createVerifier } from 'countersign'
import { guard } from 'countersign/guard'
import * as inline from 'countersign/inline'
import { endpoint, jwks } from './package-endpoint.js'
import { claims, makeKey, makeToken, NOW, options } from './package-tokens.js'

const [A, B] = ['https://a.example', 'https://b.example']
const [a, b] = [makeKey('k1'), makeKey('k1')]
const tokenOf = (key, iss, changes = {}, header = {}) => makeToken(key, claims({ iss, ...changes }), header)
const policies = [options([a], { issuer: A }), options([b], { issuer: [B, `${B}/`], audience: 'web', type: null })]

for (const [name, make] of [['createVerifier', createVerifier], ['createVerifierSync of countersign/inline', inline.createVerifierSync]]) {
  test(`${name} takes an array, and the policy of the token's iss checks everything`, async () => {
    const verifier = await make(policies)
    const good = [tokenOf(a, A), tokenOf(b, B, { aud: 'web' }), tokenOf(b, `${B}/`, { aud: 'web' }, { typ: undefined })]
    for (const token of good) {
      assert.equal((await verifier.verify(token)).payload.sub, 'somebody')
      assert.equal(verifier.verifySync(token).payload.sub, 'somebody')
    }
    const bad = [
      [tokenOf(b, A), 'signature_invalid'],
      [tokenOf(a, B, { aud: 'web' }), 'signature_invalid'],
      [tokenOf(a, A, { aud: 'web' }), 'audience_mismatch'],
      [tokenOf(a, A, {}, { typ: 'JWT' }), 'type_mismatch'],
      [tokenOf(b, B, { aud: 'api' }), 'audience_mismatch'],
      [tokenOf(a, A, { exp: NOW }), 'token_expired'],
    ]
    for (const [token, code] of bad) {
      assert.throws(() => verifier.verifySync(token), { code })
      await assert.rejects(verifier.verify(token), { code })
    }
  })
}

test('a token of no policy is refused with issuer_mismatch, unless it is no token at all', async () => {
  const verifier = await createVerifier(policies)
  const unknown = [tokenOf(a, 'https://c.example'), tokenOf(a, undefined), tokenOf(a, 7), tokenOf(a, [A]), tokenOf(a, `${A}/`), tokenOf(a, '__proto__'), tokenOf(a, 'https://c.example', {}, { typ: 'JWT' })]
  for (const token of unknown) {
    const { code, stage, retryable, wwwAuthenticate, message, claims } = await verifier.verify(token).then(() => assert.fail('accepted'), (error) => error)
    assert.deepEqual({ code, stage, retryable, claims }, { code: 'issuer_mismatch', stage: 'claims', retryable: false, claims: undefined })
    assert.match(wwwAuthenticate, /^Bearer error="invalid_token", error_description="[ !#-[\]-~]+"$/)
    assert.ok(wwwAuthenticate.length <= 200)
    for (const name of [A, B]) assert.ok(!`${message}${wwwAuthenticate}`.includes(name))
  }
  for (const token of [undefined, 7, '', 'garbage', 'a.b.c', `${'a'.repeat(8)}.${tokenOf(a, A).split('.')[1]}`]) {
    assert.throws(() => verifier.verifySync(token), { code: 'token_malformed' })
  }
  assert.throws(() => verifier.verifySync('a'.repeat(16_385)), { code: 'token_too_large' })
  assert.throws(() => verifier.verifySync(tokenOf(a, 'https://c.example', {}, { alg: 'none' })), { code: 'algorithm_not_allowed' })
  assert.throws(() => verifier.verifySync(makeToken(a, `{"iss":"${B}","iss":"${A}"}`)), { code: 'token_malformed' })
})

test('maxTokenBytes of each policy counts', async () => {
  const verifier = await createVerifier([{ ...policies[0], maxTokenBytes: 300 }, policies[1]])
  assert.throws(() => verifier.verifySync(tokenOf(a, A)), { code: 'token_too_large' })
  verifier.verifySync(tokenOf(b, B, { aud: 'web' }))
})

test('an issuer with the name of a claim picks by the claim, and its policy refuses the rest', async () => {
  const one = 'https://login.example/{tid}/v1'
  const two = 'https://login.example/{tid}/v2'
  const verifier = await createVerifier([options([a], { issuer: one, claims: { tid: ['t1', 't2'] } }), options([b], { issuer: two })])
  verifier.verifySync(tokenOf(a, 'https://login.example/t1/v1', { tid: 't1' }))
  verifier.verifySync(tokenOf(b, 'https://login.example/t3/v2', { tid: 't3' }))
  const bad = [
    [tokenOf(a, 'https://login.example/t3/v1', { tid: 't3' }), 'claim_mismatch'],
    [tokenOf(a, 'https://login.example/t1/v1', { tid: 't2' }), 'issuer_mismatch'],
    [tokenOf(a, 'https://login.example/t1/v1'), 'claim_missing'],
    [tokenOf(a, 'https://login.example/t3/v2', { tid: 't3' }), 'signature_invalid'],
    [tokenOf(a, 'https://login.example/t1/v3', { tid: 't1' }), 'issuer_mismatch'],
  ]
  for (const [token, code] of bad) assert.throws(() => verifier.verifySync(token), { code })
})

test('of issuers with the same beginning and end, the one that the claims complete is picked', async () => {
  for (const [one, two, iss] of [
    ['https://login.example/{tid}', 'https://login.example/{tid}/v2', 'https://login.example/t/v2'],
    ['https://login.example/{tid}/v1/{region}', 'https://login.example/{tid}/v2/{region}', 'https://login.example/t/v2/eu'],
  ]) {
    const verifier = await createVerifier([options([a], { issuer: one }), options([b], { issuer: two })])
    verifier.verifySync(tokenOf(b, iss, { tid: 't', region: 'eu' }))
  }
})

test('a claim that has no conversion to a string is refused like another', async () => {
  const verifier = await createVerifier([options([a], { issuer: 'https://login.example/{tid}' }), policies[1]])
  const nested = JSON.parse('['.repeat(3000) + ']'.repeat(3000))
  for (const [iss, code] of [['https://c.example', 'issuer_mismatch'], ['https://login.example/t', 'claim_invalid']]) {
    assert.throws(() => verifier.verifySync(tokenOf(a, iss, { tid: { toString: 1 } })), { code })
  }
  assert.throws(() => verifier.verifySync(tokenOf(a, 'https://login.example/t', { tid: nested })), { code: 'token_malformed' })
})

const conflicts = [
  [A, A],
  [A, [B, A]],
  ['https://login.example/{tid}/v2', 'https://login.example/tenant/v2'],
  ['https://login.example/{tid}/v2', 'https://login.example/{other}/v2'],
  ['https://{host}/x', 'https://login.{domain}/x'],
  ['https://{a}b.example', 'https://b{a}.example'],
  ['https://{a}{b}.example', 'https://xy.example'],
]
for (const [one, two] of conflicts) {
  test(`two policies for ${one} and ${two} are refused`, async () => {
    for (const issuers of [[one, two], [two, one]]) {
      const refusal = await createVerifier(issuers.map((issuer) => options([a], { issuer }))).then(() => assert.fail('accepted'), (error) => error)
      assert.deepEqual([refusal.code, refusal.reason], ['options_invalid', '[1].issuer'])
      assert.match(refusal.message, /can match the same iss as \[0\]\.issuer/)
    }
  })
}

const different = [
  ['https://login.example/{tid}/v1', 'https://login.example/{tid}/v2'],
  ['https://login.example/{tid}/v2', 'https://login.example/a/b/v2'],
  ['https://login.example/{tid}/v2', 'https://login.example//v2'],
  ['https://{host}.a.example/', 'https://{host}.b.example/'],
  ['https://{a}{b}.example', 'https://x.example'],
]
for (const [one, two] of different) {
  test(`two policies for ${one} and ${two} are accepted`, async () => {
    await createVerifier([one, two].map((issuer) => options([a], { issuer })))
  })
}

test('one policy may name an issuer twice, or two that overlap', async () => {
  await createVerifier([options([a], { issuer: [A, A] }), options([b], { issuer: ['https://{x}.b.example', 'https://y.b.example'] })])
})

test('a fault of an option names the policy', async () => {
  for (const [changes, reason] of [[{ audience: undefined }, '[1].audience'], [{ jwksOptions: { minTtl: 0 } }, '[1].jwksOptions.minTtl'], [{ aud: 'api' }, '[1].aud']]) {
    await assert.rejects(createVerifier([policies[0], { ...policies[1], ...changes }]), ({ code, reason: found, message }) => {
      return code === 'options_invalid' && found === reason && message.startsWith(`option \`${reason}\` `)
    })
  }
  for (const none of [[], [null], [7], [[]]]) await assert.rejects(createVerifier(none), { code: 'options_invalid' })
})

test('keys names the issuer, and refresh fetches the keys of all', async (t) => {
  const servers = [await endpoint(t, jwks([a])), await endpoint(t, jwks([b]))]
  const verifier = await createVerifier(policies.map((policy, index) => ({ ...policy, jwks: servers[index].url })))
  await verifier.verify(tokenOf(a, A))
  assert.deepEqual(servers.map(({ requests }) => requests), [1, 0])
  await verifier.refresh()
  assert.deepEqual(servers.map(({ requests }) => requests), [2, 1])
  assert.deepEqual(verifier.keys(A), { keys: [a.jwk] })
  assert.deepEqual(verifier.keys(`${B}/`), { keys: [b.jwk] })
  for (const issuer of [undefined, 'https://c.example']) assert.throws(() => verifier.keys(issuer), { code: 'options_invalid', reason: 'issuer' })
})

test('the guard looks for scopes in the scopeClaim of the token\'s policy', async () => {
  const verifier = await createVerifier([policies[0], { ...policies[1], scopeClaim: 'scp' }])
  const request = (token) => new Request('https://api.example', { headers: { authorization: `Bearer ${token}` } })
  const outcome = async (token) => {
    const { claims, response } = await guard(request(token), verifier, { scope: 'read' })
    return claims === undefined ? response.status : 200
  }
  assert.equal(await outcome(tokenOf(a, A, { scope: 'read' })), 200)
  assert.equal(await outcome(tokenOf(a, A, { scp: 'read' })), 403)
  assert.equal(await outcome(tokenOf(b, B, { aud: 'web', scp: ['write', 'read'] })), 200)
  assert.equal(await outcome(tokenOf(b, B, { aud: 'web', scope: 'read' })), 403)
  assert.equal(await outcome(tokenOf(b, B, { aud: 'web', scp: ['read write', 7] })), 403)
})
