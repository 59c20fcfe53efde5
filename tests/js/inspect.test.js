// The logic of the page that inspects tokens. The page itself is tested in a browser: tests/browser/inspect-page.test.js
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createVerifier } from 'countersign'
import { meaningOf, noteOn } from '../../www/page/claim-words.js'
import { EMPTY, fragmentOf, stateOf } from '../../www/page/inspect-link.js'
import { codeOf, fieldsFor, FIELDS, optionsOf } from '../../www/page/inspect-options.js'
import { faultOfJson } from '../../www/page/json-fault.js'
import { faultsOf } from '../../www/page/token-faults.js'
import { claims, makeKey, makeToken, NOW } from './package-tokens.js'

const key = makeKey('k1')
const token = makeToken(key)
const [header, payload, signature] = token.split('.')
const base64url = (text) => Buffer.from(text).toString('base64url')

test('a whole token has no fault', () => {
  assert.deepEqual(faultsOf(token), [])
})

test('a fault in the form of a token is named with its place', () => {
  const second = header.length + 1
  const third = second + payload.length + 1
  const cases = [
    ['', [{ part: 'token', says: /^has 0 dots: expected two/ }, { part: 'header', says: /^is empty/ }]],
    [`${header}.${payload}`, [{ part: 'token', says: /^has 1 dot: / }]],
    [`${header}.e30.e30.e30.e30`, [{ part: 'token', says: /^has 4 dots: / }]],
    [`${header}..${signature}`, [{ part: 'payload', says: /^is empty/ }]],
    [`${header}.${payload}.`, [{ part: 'signature', says: /^is empty/ }]],
    [`+${token}`, [{ part: 'header', at: 0, says: /“\+”, which is base64: base64url has - instead/ }]],
    [`${header}.${payload.slice(0, 5)}/${payload.slice(5)}.${signature}`, [{ part: 'payload', at: second + 5, says: /base64url has _ instead/ }]],
    [`${header}.${payload}.${signature}=`, [{ part: 'signature', at: token.length, says: /padding/ }]],
    [`${header}.${payload}. ${signature}`, [{ part: 'signature', at: third, says: /white space/ }]],
    [`${header}.${payload}.é${signature}`, [{ part: 'signature', at: third, says: /“é”, which base64url does not have/ }]],
    [`${header}.${payload}.AAAAA`, [{ part: 'signature', at: third + 4, says: /has 5 characters, which is no length/ }]],
    [`${header}.${payload}.AB`, [{ part: 'signature', at: third + 1, says: /bits that must be zero/ }]],
    [`${header}.${base64url('{"a":é}')}.AA`, [{ part: 'payload', at: second + 6, says: /^has “é”: expected a value, at character 6 after decoding/ }]],
    [`${header}.${base64url('[]')}.AA`, [{ part: 'payload', at: second, says: /expected a JSON object/ }]],
    [`${header}.${Buffer.from('7b22ff', 'hex').toString('base64url')}.AA`, [{ part: 'payload', at: second + 2, says: /not UTF-8/ }]],
    [`${header}.${Buffer.from('7b22c3', 'hex').toString('base64url')}.AA`, [{ part: 'payload', at: second + 2, says: /not UTF-8/ }]],
    ['a.b.c', [{ part: 'header', at: 0, says: /1 characters/ }, { part: 'payload', at: 2, says: /1 characters/ }, { part: 'signature', at: 4, says: /1 characters/ }]],
  ]
  for (const [text, expected] of cases) {
    const faults = faultsOf(text)
    assert.deepEqual(faults.map(({ part, at }) => ({ part, at })), expected.map(({ part, at }) => ({ part, at })), text)
    faults.forEach(({ says }, i) => assert.match(says, expected[i].says))
  }
})

const JSON_FAULTS = [
  ['', 0, /^ends: expected a JSON object/],
  ['{', 1, /^ends: expected the name of a member/],
  ['{"a"', 4, /expected a colon/],
  ['{"a":', 5, /^ends: expected a value/],
  ['{"a":1', 6, /^ends: expected a comma or }/],
  ['{"a":1,}', 7, /^has “}”: expected the name/],
  ["{'a':1}", 1, /^has “'”: expected the name/],
  ['{"a":01}', 6, /expected a comma or }/],
  ['{"a":tru}', 5, /^has “t”: expected a value/],
  ['{"a":[1 2]}', 8, /expected a comma or \]/],
  ['{"a":"b', 5, /ends within this string/],
  ['{"a":"\n"}', 6, /control character/],
  ['{"a":"\\x"}', 6, /escape that JSON does not know/],
  ['{"a":"\\ud800"}', 6, /half a surrogate pair/],
  ['{"a":"\\udc00"}', 6, /half a surrogate pair/],
  ['{"a":1} {', 8, /expected the end/],
  ['{"a":1,"a":2}', 7, /the member "a" twice/],
  ['{"a":1,"\\u0061":2}', 7, /twice/],
  ['{"__proto__":1}', 1, /__proto__/],
  [`{"a":${'['.repeat(64)}${']'.repeat(64)}}`, 68, /more than 64 levels/],
  ['\u00a0{}', 0, /U\+00A0/],
]
test('a fault of JSON is named with its place', () => {
  for (const [text, at, says] of JSON_FAULTS) {
    const fault = faultOfJson(text)
    assert.equal(fault?.at, at, text)
    assert.match(fault.says, says)
  }
})

test('faults of JSON are found exactly if the verifier finds one', async () => {
  const verifier = await createVerifier({ issuer: 'https://auth.example', audience: 'api', jwks: { keys: [key.jwk] }, now: () => NOW })
  const whole = ['{}', ' {"a" : [ 1 , -0.5e+3, true, null, "\\u00e9\\ud83d\\ude00é" ] }\r\n', `{"a":${'['.repeat(63)}${']'.repeat(63)}}`]
  for (const text of [...JSON_FAULTS.map(([text]) => text), ...whole]) {
    // An empty part is refused too.
    let code
    try {
      verifier.verifySync(makeToken(key, text))
    } catch (error) {
      code = error.code
    }
    assert.equal(faultOfJson(text) !== undefined, code === 'token_malformed', `${text}: ${code}`)
  }
})

test('long garbage is read quickly', () => {
  const start = performance.now()
  for (const text of ['x'.repeat(100_000), '.'.repeat(100_000), `${base64url(`{"a":"${'\\"'.repeat(40_000)}`)}.x.y`, `${base64url('['.repeat(75_000))}.x.y`]) {
    assert.ok(faultsOf(text).length > 0)
  }
  assert.ok(performance.now() - start < 2000)
})

test('claims and header parameters have their meaning and its source', () => {
  assert.deepEqual(meaningOf('payload', 'exp'), { meaning: 'expires at', source: 'RFC 7519 §4.1.4', url: 'https://www.rfc-editor.org/rfc/rfc7519#section-4.1.4' })
  assert.match(meaningOf('header', 'jku').meaning, /must not choose its own keys/)
  assert.equal(meaningOf('payload', 'email').url, 'https://openid.net/specs/openid-connect-core-1_0.html')
  for (const name of ['quux', 'toString', '__proto__']) assert.match(meaningOf('payload', name).meaning, /^not registered/)
  assert.match(meaningOf('payload', 'tid').meaning, /Microsoft.*Not registered/)
})

test('times are notes with a date and a distance', () => {
  const clock = { now: NOW, relative: (seconds) => `${seconds} s` }
  assert.match(noteOn('payload', 'exp', NOW + 60, clock), /2023.*, 60 s: not expired$/)
  assert.match(noteOn('payload', 'exp', NOW, clock), /, 0 s: expired$/)
  assert.match(noteOn('payload', 'nbf', NOW + 1, clock), /: not valid yet$/)
  assert.match(noteOn('payload', 'iat', NOW + 1, clock), /: in the future/)
  assert.match(noteOn('payload', 'exp', NOW * 1000, clock), /milliseconds/)
  assert.match(noteOn('payload', 'exp', '1', clock), /no number/)
  assert.match(noteOn('payload', 'exp', -9e99, clock), /: expired$/)
  assert.equal(noteOn('payload', 'aud', ['a', 'b'], clock), '2 audiences: one of them is enough')
  assert.equal(noteOn('payload', 'scope', 'read', clock), '1 scope')
  for (const [alg, says] of [['RS256', /only algorithm/], ['none', /no signature/], ['HS256', /secret/], ['ES256', /refused/]]) assert.match(noteOn('header', 'alg', alg, clock), says)
  assert.equal(noteOn('payload', 'sub', 'me', clock), undefined)
})

test('the fields for a token are the options that accept it', async () => {
  const cases = [
    [{}, {}],
    [{ typ: 'JWT' }, {}],
    [{ typ: undefined }, {}],
    [{ typ: 'application/at+jwt' }, {}],
    [{}, { aud: ['a', 'b'] }],
    [{ typ: undefined }, { aud: undefined, client_id: 'it"s' }],
  ]
  const { readClaims } = await import('../../pkg/dist/cli/claim-values.js')
  for (const [headers, changes] of cases) {
    const made = makeToken(key, claims(changes), headers)
    const fields = fieldsFor({ typ: 'at+jwt', ...headers }, JSON.parse(JSON.stringify(claims(changes))))
    const verifier = await createVerifier({ ...optionsOf(fields, readClaims), jwks: { keys: [key.jwk] }, now: () => NOW })
    verifier.verifySync(made)
  }
})

test('empty fields are left out, and the others are options', async () => {
  const { readClaims } = await import('../../pkg/dist/cli/claim-values.js')
  const empty = Object.fromEntries(FIELDS.map((name) => [name, name.startsWith('any') ? false : ' ']))
  assert.deepEqual(optionsOf(empty, readClaims), {})
  const { now, ...options } = optionsOf({
    issuer: 'https://a.example\n\n https://b.example ', audience: 'api', type: 'JWT', claims: 'level=2\nlevel=3\nname=x', requiredClaims: 'sub',
    scope: ' read write', scopeClaim: 'scp', clockTolerance: '5', maxTokenAge: '60', maxTokenBytes: '1000', time: '2023-11-14T22:13:20Z',
  }, readClaims)
  assert.deepEqual(options, {
    issuer: ['https://a.example', 'https://b.example'], audience: 'api', type: 'JWT', claims: { level: [2, 3], name: ['x'] }, requiredClaims: ['sub'],
    scope: 'read write', scopeClaim: 'scp', clockTolerance: 5, maxTokenAge: 60, maxTokenBytes: 1000,
  })
  assert.equal(now(), NOW)
  assert.throws(() => optionsOf({ time: 'tomorrow' }, readClaims), /the time is none/)
  assert.throws(() => optionsOf({ claims: 'level' }, readClaims), /NAME=VALUE/)
})

test('the code has the same options', async () => {
  const options = { issuer: "https://it's\\.example\u202e", audience: null, claims: { client_id: ['web'], 'a-b': 2 }, requiredClaims: ['sub'], clockTolerance: 5 }
  const code = codeOf({ ...options, now: () => NOW }, '')
  assert.ok(!code.includes('\u202e'))
  const body = code.replace(/^import .*/, '').replace(/const \{ payload \}.*/, 'return verifier').replace('await ', '')
  const made = new Function('createVerifier', 'keySet', body)((given) => given, 'keys')
  const { now, ...rest } = made
  assert.deepEqual(rest, { ...options, jwks: 'keys' })
  assert.equal(now(), NOW)
  assert.match(codeOf({ issuer: 'a' }, 'https://a.example/jwks'), / {2}jwks: 'https:\/\/a\.example\/jwks',\n/)
})

test('a link has everything in its fragment', () => {
  const fields = { ...Object.fromEntries(FIELDS.map((name) => [name, name.startsWith('any') ? true : `${name} & ü\n2`])) }
  const state = { token, keys: '{"keys":[]}', jwks: 'https://auth.example/jwks?a=1#b', follow: false, fields }
  assert.match(fragmentOf(state), /^#token=/)
  assert.deepEqual(stateOf(fragmentOf(state)), state)
  assert.deepEqual(stateOf(`#token=${token}`), { ...EMPTY, token })
  const followed = stateOf(fragmentOf({ ...state, follow: true }))
  assert.deepEqual([followed.follow, followed.fields.issuer, followed.fields.scope], [true, '', fields.scope])
  for (const empty of [EMPTY, { ...EMPTY, follow: false }]) assert.deepEqual(stateOf(fragmentOf({ ...empty, token })), { ...empty, token })
  assert.equal(stateOf('#token=x&issuer=https://auth.example').follow, false)
  for (const other of ['', '#', '#content', '#toString=1']) assert.equal(stateOf(other), undefined, other)
})
