import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { createVerifier, decodeUnverified, expiry, VerifyError } from 'countersign'
import { SignJWT } from 'jose'
import { refuse, STAGE_OF } from '../../pkg/dist/errors.js'
import { WasmVerifier } from '../../pkg/dist/wasm.js'
import { AUDIENCE, claims, ISSUER, makeKey, makeToken, NOW, options } from './package-tokens.js'

const key = makeKey('k1')
const verifier = await createVerifier(options([key]))
const DOCUMENTS = ['../../pkg/README.md', '../../pkg/dist/errors.d.ts']

test('verify and verifySync return the header and payload of a valid token', async () => {
  const token = makeToken(key, claims({ roles: ['reader', { deep: [1] }] }))
  const verified = verifier.verifySync(token)
  assert.deepEqual(verified, {
    header: { alg: 'RS256', typ: 'at+jwt', kid: 'k1' },
    payload: claims({ roles: ['reader', { deep: [1] }] }),
  })
  assert.deepEqual(await verifier.verify(token), verified)
})

test('a token that another library signed is accepted', async () => {
  const token = await new SignJWT({ scope: 'read' })
    .setProtectedHeader({ alg: 'RS256', typ: 'application/at+jwt', kid: 'k1' })
    .setIssuer(ISSUER).setAudience(['other', AUDIENCE]).setExpirationTime(NOW + 1)
    .sign(key.privateKey)
  assert.equal(verifier.verifySync(token).payload.scope, 'read')
})

test('header and payload are plain, deeply frozen objects', () => {
  const verified = verifier.verifySync(makeToken(key, claims({ roles: [{ deep: [] }] })))
  const { header, payload } = verified
  for (const value of [verified, header, payload, payload.roles, payload.roles[0], payload.roles[0].deep]) {
    assert.ok(Object.isFrozen(value))
  }
  assert.equal(Object.getPrototypeOf(payload), Object.prototype)
})

test('a __proto__ member is refused, and decodeUnverified touches no prototype', () => {
  const text = JSON.stringify(claims()).replace('{', '{"__proto__":{"admin":true},')
  const token = makeToken(key, text)
  assert.throws(() => verifier.verifySync(token), { code: 'token_malformed', message: /__proto__/ })
  const { payload } = decodeUnverified(token)
  assert.ok(Object.hasOwn(payload, '__proto__'))
  assert.equal(Object.getPrototypeOf(payload), Object.prototype)
  assert.equal(payload.admin, undefined)
  assert.ok(Object.isFrozen(payload['__proto__']))
  assert.equal({}.admin, undefined)
})

const other = makeKey('k1')
const refusals = [
  { name: 'no text', token: () => undefined, code: 'token_malformed' },
  { name: 'an object', token: () => ({ toString: () => makeToken(key) }), code: 'token_malformed' },
  { name: 'the empty text', token: () => '', code: 'token_malformed' },
  { name: 'two parts', token: () => 'e30.e30', code: 'token_malformed' },
  { name: 'a lone surrogate', token: () => `${makeToken(key)}\ud800`, code: 'token_malformed' },
  { name: 'a long token', token: () => 'a'.repeat(16385), code: 'token_too_large' },
  { name: 'a token with too many bytes, but not too many characters', token: () => 'é'.repeat(8193), code: 'token_too_large' },
  { name: 'alg none', token: () => makeToken(key, claims(), { alg: 'none' }), code: 'algorithm_not_allowed' },
  { name: 'another typ', token: () => makeToken(key, claims(), { typ: 'JWT' }), code: 'type_mismatch' },
  { name: 'crit', token: () => makeToken(key, claims(), { crit: ['exp'] }), code: 'critical_unsupported' },
  { name: 'a kid that is no string', token: () => makeToken(key, claims(), { kid: 1 }), code: 'header_invalid' },
  { name: 'an unknown kid', token: () => makeToken(key, claims(), { kid: 'k2' }), code: 'key_not_found' },
  { name: "another key's signature", token: () => makeToken(other), code: 'signature_invalid' },
  { name: 'a missing sub that is required', token: () => makeToken(key, claims({ sub: undefined })), options: { requiredClaims: ['sub'] }, code: 'claim_missing', claim: 'sub' },
  { name: 'an exp in milliseconds', token: () => makeToken(key, claims({ exp: NOW * 1000 })), code: 'claim_invalid', claim: 'exp' },
  { name: 'another value of a claim', token: () => makeToken(key, claims({ azp: 'other' })), options: { claims: { azp: 'web' } }, code: 'claim_mismatch', claim: 'azp' },
  { name: 'an exp that is a string', token: () => makeToken(key, claims({ exp: 'soon' })), code: 'claim_invalid', claim: 'exp' },
  { name: 'another issuer', token: () => makeToken(key, claims({ iss: 'https://evil.example' })), code: 'issuer_mismatch', claim: 'iss' },
  { name: 'another audience', token: () => makeToken(key, claims({ aud: ['x'] })), code: 'audience_mismatch', claim: 'aud' },
  { name: 'an expired token', token: () => makeToken(key, claims({ exp: NOW })), code: 'token_expired', claim: 'exp' },
  { name: 'a token that is not valid yet', token: () => makeToken(key, claims({ nbf: NOW + 1 })), code: 'token_not_yet_valid', claim: 'nbf', retryable: true },
  { name: 'an old token', token: () => makeToken(key, claims({ iat: NOW - 61 })), options: { maxTokenAge: 60 }, code: 'token_too_old', claim: 'iat' },
  { name: 'too little scope', token: () => makeToken(key, claims({ scope: 'read' })), options: { scope: ['read', 'write'] }, code: 'scope_insufficient', claim: 'scope', error: 'insufficient_scope' },
]
for (const { name, token, options: changes, code, claim, retryable = false, error = 'invalid_token' } of refusals) {
  test(`${name} is refused with ${code}, every field set`, async () => {
    const text = token()
    const one = await createVerifier(options([key], changes))
    const refusal = thrownBy(() => one.verifySync(text))
    assert.ok(refusal instanceof VerifyError && refusal instanceof Error)
    const { name, stage, message, wwwAuthenticate } = refusal
    assert.deepEqual(
      { name, code: refusal.code, stage, claim: refusal.claim, retryable: refusal.retryable },
      { name: 'VerifyError', code, stage: STAGE_OF[code], claim, retryable },
    )
    assert.match(message, /^[^\n]+$/)
    assert.ok(wwwAuthenticate.startsWith(`Bearer error="${error}"`), wwwAuthenticate)
    if (stage === 'claims') {
      assert.deepEqual(refusal.claims, decodeUnverified(text).payload)
      assert.ok(Object.isFrozen(refusal.claims))
    } else {
      assert.equal('claims' in refusal, false)
    }
    if (typeof text === 'string' && text !== '') {
      for (const part of text.split('.')) assert.ok(!`${message}${wwwAuthenticate}`.includes(part))
    }
    await assert.rejects(one.verify(text), { code })
  })
}

test('challenges are those of the Rust verifier', () => {
  const challenges = JSON.parse(readFileSync(new URL('../challenges.json', import.meta.url), 'utf8'))
  assert.ok(challenges.length > 0)
  for (const { scope, challenge, ...fields } of challenges) {
    assert.equal(refuse({ ...fields, ...(scope !== null && { scope }) }).wwwAuthenticate, challenge)
  }
})

test('codes and stages are those of the Rust verifier', () => {
  const source = readFileSync(new URL('../../verifier/src/error.rs', import.meta.url), 'utf8')
  const list = /const CODES: [^=]*=([^;]*);/.exec(source)[1]
  const rust = [...list.matchAll(/\("(\w+)", Stage::(\w+)\)/g)].map(([, code, stage]) => [code, stage.toLowerCase()])
  assert.ok(rust.length > 0)
  assert.deepEqual(Object.entries(STAGE_OF), rust)
})

test('the tables of README and types have exactly these codes, with their stages', () => {
  for (const file of DOCUMENTS) {
    const text = readFileSync(new URL(file, import.meta.url), 'utf8')
    const rows = text.split('## Errors').at(-1).matchAll(/^[ *]*\| `?([a-z]+)`? \| ((?:`[a-z]+_[a-z_]+`(?:, )?)+) \|/gm)
    const found = [...rows].flatMap(([, stage, codes]) => codes.split(', ').map((code) => [code.slice(1, -1), stage]))
    assert.deepEqual(found.sort(), Object.entries(STAGE_OF).sort(), file)
  }
})

const { n, e } = key.jwk
const withKey = (changes) => ({ jwks: { keys: [{ ...key.jwk, ...changes }] } })
/** The refusal for each `reason`: the changed options or header, and the response of the endpoint. */
const REASONS = {
  header_invalid: {
    alg: { header: { alg: 7 } },
    kid: { header: { kid: 7 } },
    typ: { header: { typ: 7 } },
    zip: { header: { zip: 'DEF' } },
  },
  key_rejected: {
    not_object: { jwks: { keys: [7] }, header: { kid: undefined } },
    private: withKey({ d: 'AAAA' }),
    key_type: withKey({ kty: 'EC' }),
    use: withKey({ use: 'enc' }),
    key_ops: withKey({ key_ops: ['encrypt'] }),
    alg: withKey({ alg: 'RS512' }),
    kid: { ...withKey({ kid: 7 }), header: { kid: undefined } },
    duplicate_kid: { jwks: { keys: [key.jwk, { ...other.jwk, kid: 'k1' }] } },
    certificate: withKey({ n: undefined, e: undefined, x5c: ['AAAA'] }),
    modulus_encoding: withKey({ n: `${n}=` }),
    modulus_size: withKey({ n: n.slice(4) }),
    modulus_even: withKey({ n: `${n.slice(0, -2)}AA` }),
    exponent_encoding: withKey({ e: 'AQA?' }),
    exponent_range: withKey({ e: 'Ag' }),
  },
  jwks_invalid: {
    json: { response: '{"keys":[],"keys":[]}' },
    no_keys_array: { response: '{}' },
    private_key: { response: '{"d":"AAAA"}' },
    too_many_keys: { jwks: { keys: Array(1001).fill(key.jwk) } },
  },
}
for (const [code, cases] of Object.entries(REASONS)) {
  for (const [reason, { header, response, ...changes }] of Object.entries(cases)) {
    test(`${code} has the reason ${reason}`, async () => {
      const endpoint = response && { jwks: 'https://auth.example/jwks', fetch: async () => new Response(response) }
      const verify = async () => (await createVerifier(options([key], { ...changes, ...endpoint }))).verify(makeToken(key, claims(), header))
      await assert.rejects(verify, { name: 'VerifyError', code, reason })
    })
  }
}

test('no other code has a reason', () => {
  assert.throws(() => verifier.verifySync(makeToken(key, claims({ exp: NOW }))), (error) => !('reason' in error))
  assert.throws(() => decodeUnverified(''), (error) => !('reason' in error))
})

test('README, types and the Rust verifier have the same reasons', () => {
  for (const file of DOCUMENTS) {
    const text = readFileSync(new URL(file, import.meta.url), 'utf8')
    for (const [code, cases] of Object.entries(REASONS)) {
      const [, list] = new RegExp(`\\| \`${code}\` \\| the [\\w ]+: (\`[^|]*) \\|`).exec(text)
      assert.deepEqual(list.split(', '), Object.keys(cases).map((reason) => `\`${reason}\``), `${file}, ${code}`)
    }
  }
  const rust = (file, beginning, pattern) => {
    const [, source] = readFileSync(new URL(`../../verifier/src/${file}.rs`, import.meta.url), 'utf8').split(beginning)
    return [...new Set([...source.matchAll(pattern)].map(([, reason]) => reason))].sort()
  }
  assert.deepEqual(rust('key_rejection', 'impl KeyRejection {', /(?:=> |\(\s*)"([a-z_]+)"/g), Object.keys(REASONS.key_rejected).sort())
  assert.deepEqual(rust('key_set', 'impl KeySet {', /(?:invalid\(\s*|reason: )"([a-z_]+)"/g), Object.keys(REASONS.jwks_invalid).sort())
})

test('keys can be set, dropped and set again in one WasmVerifier', () => {
  const wasm = new WasmVerifier()
  wasm.setKeys(JSON.stringify({ keys: [] }))
  assert.throws(() => wasm.setKeys('{}'), { code: 'jwks_invalid', reason: 'no_keys_array' })
  wasm.setPolicy(JSON.stringify({ issuer: ISSUER, audience: AUDIENCE }))
  for (let i = 0; i < 2; i++) {
    assert.throws(() => wasm.verify(makeToken(key), NOW), { code: 'jwks_unavailable' })
    wasm.setKeys(JSON.stringify({ keys: [key.jwk] }))
    assert.equal(JSON.parse(wasm.verify(makeToken(key), NOW)).iss, ISSUER)
    wasm.dropKeys()
  }
})

test('several issuers and audiences are alternatives, and several scopes are all required', async () => {
  const one = await createVerifier(options([key], {
    issuer: ['https://other.example', ISSUER], audience: ['other', AUDIENCE], scope: 'read write', type: null, clockTolerance: 1,
  }))
  one.verifySync(makeToken(key, claims({ scope: 'write read', exp: NOW }), { typ: undefined }))
})

test('the clock is read at each call, and a value that is no time is refused', async () => {
  let time = NOW
  const one = await createVerifier(options([key], { now: () => time }))
  const token = makeToken(key, claims({ exp: NOW + 1 }))
  one.verifySync(token)
  time = NOW + 0.999
  one.verifySync(token)
  time = NOW + 1
  assert.throws(() => one.verifySync(token), { code: 'token_expired' })
  for (time of [NaN, -1, Infinity, '1700000000', undefined, null, 1700000000n, new Date(), NOW * 1000]) {
    assert.throws(() => one.verifySync(token), { code: 'options_invalid', message: /now/ })
    await assert.rejects(one.verify(token), { code: 'options_invalid' })
  }
})

test('the default clock is the system\'s', async () => {
  const one = await createVerifier(options([key], { now: undefined }))
  const exp = Math.floor(Date.now() / 1000) + 60
  one.verifySync(makeToken(key, claims({ exp })))
  assert.throws(() => one.verifySync(makeToken(key, claims({ exp: exp - 61 }))), { code: 'token_expired' })
})

test('keys() is a frozen copy, and later changes of the given object have no effect', async () => {
  const jwks = { keys: [{ ...key.jwk }] }
  const one = await createVerifier(options([], { jwks }))
  jwks.keys[0].n = 'AQAB'
  jwks.keys.push(other.jwk)
  assert.deepEqual(one.keys(), { keys: [key.jwk] })
  assert.ok(Object.isFrozen(one.keys()) && Object.isFrozen(one.keys().keys[0]))
  const heir = await createVerifier(options([], { jwks: one.keys() }))
  heir.verifySync(makeToken(key))
  await one.refresh()
})

test('createVerifier refuses an invalid key set, but one bad key only affects its own tokens', async () => {
  await assert.rejects(createVerifier(options([], { jwks: { keys: Array(1001).fill(key.jwk) } })), { code: 'jwks_invalid', stage: 'key' })
  const one = await createVerifier(options([key, { jwk: { ...other.jwk, kid: 'short', n: 'AQAB' } }]))
  one.verifySync(makeToken(key))
  assert.throws(() => one.verifySync(makeToken(key, claims(), { kid: 'short' })), { code: 'key_rejected' })
})

test('many verifiers work side by side', async () => {
  const verifiers = await Promise.all(Array.from({ length: 50 }, () => createVerifier(options([key]))))
  for (const one of verifiers) one.verifySync(makeToken(key))
})

test('decodeUnverified reads a token with an invalid signature', () => {
  const [header, payload] = makeToken(key, claims({ name: 'Zoë 🦊' })).split('.')
  const decoded = decodeUnverified(`${header}.${payload}.AAAA`)
  assert.deepEqual(decoded, { header: { alg: 'RS256', typ: 'at+jwt', kid: 'k1' }, payload: claims({ name: 'Zoë 🦊' }) })
  assert.ok(Object.isFrozen(decoded) && Object.isFrozen(decoded.payload))
})

test('decodeUnverified reads a token nested deeper than the call stack', () => {
  const deep = 100_000
  const payload = Buffer.from(`{"a":${'['.repeat(deep)}${']'.repeat(deep)}}`).toString('base64url')
  assert.ok(Array.isArray(decodeUnverified(`e30.${payload}.AAAA`).payload.a))
})

const encoded = (text) => Buffer.from(text, 'latin1').toString('base64url')
const malformed = {
  'no text': undefined,
  'two parts': 'e30.e30',
  'four parts': 'e30.e30.AAAA.AAAA',
  'an empty part': 'e30..AAAA',
  'an empty signature': 'e30.e30.',
  'padding': 'e30=.e30.AAAA',
  'the other alphabet': 'e30.e30.+/+/',
  'white space': ' e30.e30.AAAA',
  'a trailing newline': 'e30.e30.AAAA\n',
  'unused bits': 'e31.e30.AAAA',
  'a length of 1 mod 4': 'e30.e30.AAAAA',
  'invalid UTF-8': `e30.${encoded('{"a":"\xff"}')}.AAAA`,
  'a byte order mark': `e30.${encoded('\xef\xbb\xbf{}')}.AAAA`,
  'no JSON': `e30.${encoded('{')}.AAAA`,
  'an array': `e30.${encoded('[]')}.AAAA`,
  'null': `${encoded('null')}.e30.AAAA`,
}
for (const [name, token] of Object.entries(malformed)) {
  test(`decodeUnverified and expiry refuse ${name}`, () => {
    assert.throws(() => decodeUnverified(token), { name: 'VerifyError', code: 'token_malformed', stage: 'parse' })
    assert.throws(() => expiry(token), { code: 'token_malformed' })
  })
}

test('secondsLeft counts down to zero', () => {
  const token = makeToken(key, claims({ exp: NOW + 10.5 }))
  const at = (now) => expiry(token, { now: () => now })
  assert.deepEqual(at(NOW), { expiresAt: NOW + 10.5, secondsLeft: 10.5, expired: false })
  assert.deepEqual(at(NOW + 10.5), { expiresAt: NOW + 10.5, secondsLeft: 0, expired: true })
  assert.deepEqual(at(NOW + 99), { expiresAt: NOW + 10.5, secondsLeft: 0, expired: true })
  assert.equal(expiry(token).expired, true)
})

test('expiry refuses a token without exp, and an invalid clock', () => {
  for (const payload of ['{}', '{"exp":null}', '{"exp":"1700000000"}', '{"exp":1e400}']) {
    assert.throws(() => expiry(makeToken(key, payload)), { code: 'token_malformed', message: /exp/ })
  }
  assert.throws(() => expiry(makeToken(key), { now: NOW }), { code: 'options_invalid' })
  assert.throws(() => expiry(makeToken(key), { when: () => NOW }), { code: 'options_invalid' })
})

function thrownBy(call) {
  try {
    call()
  } catch (error) {
    return error
  }
  assert.fail('nothing was thrown')
}
