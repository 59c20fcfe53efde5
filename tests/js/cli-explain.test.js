import assert from 'node:assert/strict'
import { test } from 'node:test'
import { claims, makeKey, makeToken, NOW } from './package-tokens.js'
import { countersign } from './support/cli.js'

const key = makeKey('k1')
const at = ['--now', String(NOW + 240)]

test('explain shows the content of a token, and says that nothing was verified', async () => {
  const forged = makeToken(key, claims({ nbf: NOW + 300, note: '\u202e\u001b]0;x\u0007' }))
  const { code, stdout, stderr } = await countersign(['explain', ...at, forged])
  assert.deepEqual({ code, stderr }, { code: 0, stderr: '' })
  assert.equal(stdout, `not verified: anybody can write this; check it with countersign verify

header: an access token (RFC 9068)
  alg  algorithm   RS256
  typ  token type  at+jwt
  kid  key name    k1

payload
  iss   issuer      https://auth.example
  aud   audience    api
  sub   subject     somebody
  iat   issued at   1700000000
  exp   expires at  1700000900
  nbf   valid from  1700000300
  note              \\u{202e}\\u{1b}]0;x\\u{7}

  issued ────────── now ── valid from ──────────────────────── expires

  issued      2023-11-14 22:13:20Z  4 min ago
  valid from  2023-11-14 22:18:20Z  in 1 min
  expires     2023-11-14 22:28:20Z  in 11 min

a verifier checks, in this order
  form, header  correct
  key           the issuer's key k1
  signature     made with that key, over header and payload
  iss           is https://auth.example the issuer you trust?
  aud           is api your service?
  exp           in the future
`)
})

test('explain shows the refusals that need no key', async () => {
  const cases = [
    [{ alg: 'none' }, claims(), /form, header +algorithm_not_allowed: /],
    [{ typ: 'JWT' }, claims(), /form, header +type_mismatch: .*; to accept it, add --type JWT\n/],
    [{ crit: ['x'] }, claims(), /form, header +critical_unsupported: /],
    [{}, '{"iss":"a","iss":"b"}', /form, header +token_malformed: /],
    [{}, '{}', /aud +claim_missing: the claim is required, except with --audience null and --claim\n.*exp +claim_missing: the claim is required\n/],
    [{}, claims({ exp: NOW }), /exp +token_expired: /],
    [{}, claims({ exp: NOW * 1000 }), /exp +claim_invalid: it is in milliseconds/],
    [{}, claims({ exp: '2030' }), /exp +claim_invalid: expected a number/],
    [{ typ: undefined }, claims(), /; to accept it, add --type null\n/],
    [{ typ: "a b'c" }, claims(), /; to accept it, add --type 'a b'\\''c'\n/],
    [{ typ: 'dpop+jwt' }, claims(), /^header: a DPoP proof/m],
  ]
  for (const [header, payload, expected] of cases) {
    const { code, stdout } = await countersign(['explain', ...at, makeToken(key, payload, header)])
    assert.equal(code, 0)
    assert.match(stdout, expected)
  }
})

const [header, payload, signature] = makeToken(key, claims({ groups: ['a,b', 'c"}'] })).split('.')
const base64url = (text) => Buffer.from(text).toString('base64url')
/** The token, the words about it, and a line of the part that can be read. `whole` if header and payload are whole. */
const damaged = {
  'cut off in the header': { token: header.slice(0, -12), says: /^the token was cut off in the header/m, shows: /^ {2}cut off: "k\n/m },
  'cut off after the header': { token: header, says: /^the payload is missing/m, shows: /kid +key name +k1/ },
  'cut off before the payload': { token: `${header}.`, says: /^the payload is missing/m, shows: /kid +key name +k1/ },
  'cut off in the payload': { token: `${header}.${payload.slice(0, -12)}`, says: /^the token was cut off in the payload/m, shows: /exp +expires at +1700000900\n {2}cut off: "groups":\["a/ },
  'cut off in the first claim': { token: `${header}.${base64url('{"iss":"https:')}`, says: /^the token was cut off in the payload/m, shows: /^ {2}cut off: "iss":"https:\n\na verifier/m },
  'cut off behind a backslash': { token: `${header}.${base64url('{"a":1,"b":",\\')}`, says: /cut off in the payload/, shows: /^ {2}a +1\n {2}cut off: "b":",\\\n/m },
  'cut off after the payload': { token: `${header}.${payload}`, says: /^the signature is missing/m, shows: /exp +in the future/, whole: true },
  'cut off before the signature': { token: `${header}.${payload}.`, says: /^the signature is missing/m, shows: /exp +in the future/, whole: true },
  'cut off in the signature': { token: `${header}.${payload}.${signature.slice(0, 40)}`, says: /^the signature has 30 bytes; expected 256, /m, shows: /exp +in the future/, whole: true },
  'unsigned': { token: makeToken(key, claims(), { alg: 'none' }).replace(/[^.]*$/, ''), says: /^the token is unsigned: its alg is none/m, shows: /sub +subject +somebody/, whole: true },
  'encrypted': { token: `${base64url('{"alg":"dir","enc":"A128GCM"}')}..abc.def.ghi`, says: /an encrypted token \(JWE\)/, shows: /enc +A128GCM/ },
  'of four parts': { token: `${header}.${payload}.${signature}.x`, says: /^the token has 4 parts/m, shows: /sub +subject +somebody/, whole: true },
  'with a payload that is text': { token: `${header}.${base64url('text')}.${signature}`, says: /^the payload is no JSON object/m, shows: /kid +key name +k1/ },
  'padded': { token: `${Buffer.from('{"alg":"RS256","typ":"at+jwt" }').toString('base64')}.${payload}.${signature}`, says: /token_malformed: .*base64url/, shows: /sub +subject +somebody/, whole: true },
}
for (const [name, { token, says, shows, whole = false }] of Object.entries(damaged)) {
  test(`explain shows a token that is ${name} as far as it can be read`, async () => {
    const { code, stdout, stderr } = await countersign(['explain', ...at], { stdin: `Bearer ${token}\n` })
    assert.match(stdout, /^not verified: /)
    for (const words of [says, shows]) assert.match(stdout, words)
    assert.deepEqual({ code, stderr }, { code: whole ? 0 : 1, stderr: '' })
    assert.match(stdout, /form, header +[a-z_]+\b/)
    const json = await countersign(['explain', '--json', ...at, token])
    const { verified, header, fault } = JSON.parse(json.stdout)
    assert.deepEqual([json.code, verified, typeof header], [code, false, 'object'])
    if (fault !== undefined) assert.match(fault, says)
  })
}

test('a signature of another length is not reported for another algorithm', async () => {
  const { stdout } = await countersign(['explain', ...at, `${base64url('{"alg":"ES256"}')}.${payload}.${signature.slice(0, 86)}`])
  assert.doesNotMatch(stdout, /bytes/)
})

test('explain shows header parameters that have no conversion to a string', async () => {
  const { code, stdout } = await countersign(['explain', makeToken(key, claims(), { alg: { toString: 1 }, typ: { toString: 1 } })])
  assert.equal(code, 0)
  assert.match(stdout, /^header: a token of type \{"toString":1\}$/m)
  assert.match(stdout, /header_invalid: the header parameter alg is not a string/)
})

test('explain shows the text of a payload that nests too deeply', async () => {
  const deep = `{"sub":"somebody","deep":${'['.repeat(6000)}${']'.repeat(6000)}}`
  for (const flags of [[], ['--json']]) {
    const { code, stdout } = await countersign(['explain', ...flags, makeToken(key, deep)])
    assert.equal(code, 1)
    assert.match(stdout, /somebody/)
  }
})

test('explain guesses the kind of a text whose header cannot be read', async () => {
  for (const [text, expected] of [['a.b.c.d.e', /encrypted token \(JWE\)/], ['0123456789', /opaque token, such as a refresh token/], ['e30x.e30', /cut off at its beginning/], ['W10.e30.AA', /cut off/]]) {
    const { code, stdout, stderr } = await countersign(['explain', text])
    assert.deepEqual({ code, stdout }, { code: 1, stdout: '' })
    assert.match(stderr, /^token_malformed: the header cannot be read: [^\n]+\n$/)
    assert.match(stderr, expected)
  }
})

test('explain --json has verified: false', async () => {
  const { stdout } = await countersign(['explain', '--json', ...at, makeToken(key, claims(), { alg: 'none' })])
  const { verified, header, payload, now, refusal } = JSON.parse(stdout)
  assert.deepEqual({ verified, alg: header.alg, payload, now }, { verified: false, alg: 'none', payload: claims(), now: NOW + 240 })
  assert.equal(refusal.code, 'algorithm_not_allowed')
})

test('a token is shown even if its times are no dates', async () => {
  for (const exp of ['9e99', '"soon"', '-9e99', '8640000000001']) {
    const payload = JSON.stringify(claims()).replace(/"exp":\d+/, `"exp":${exp}`)
    for (const more of [[], ['--json']]) assert.equal((await countersign(['explain', ...more, makeToken(key, payload)])).code, 0)
  }
})
