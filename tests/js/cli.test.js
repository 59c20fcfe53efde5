import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { createPublicKey } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { AUDIENCE, claims, ISSUER, makeKey, makeToken, NOW } from './package-tokens.js'
import { countersign, serve } from './support/cli.js'

const folder = await mkdtemp(join(tmpdir(), 'countersign-cli-'))
after(() => rm(folder, { recursive: true }))

const key = makeKey('k1')
const other = makeKey('k2')
const token = makeToken(key, claims({ scope: 'read write' }))
const file = async (name, content) => {
  const path = join(folder, name)
  await writeFile(path, typeof content === 'string' ? content : JSON.stringify(content))
  return path
}
const jwks = await file('jwks.json', { keys: [key.jwk] })
const policy = ['--issuer', ISSUER, '--audience', AUDIENCE]
const at = ['--now', String(NOW + 240)]

const verify = (args, input) => countersign(['verify', '--jwks', jwks, ...policy, ...at, ...args], input)

test('verify shows the claims and times of a valid token', async () => {
  const { code, stdout, stderr } = await verify([token])
  assert.deepEqual({ code, stderr }, { code: 0, stderr: '' })
  assert.equal(stdout, `valid, signed with key k1

  iss    issuer      https://auth.example
  aud    audience    api
  sub    subject     somebody
  iat    issued at   1700000000
  exp    expires at  1700000900
  scope  scope       read write

  issued ────────── now ────────────────────────── expires

  issued   2023-11-14 22:13:20Z  4 min ago
  expires  2023-11-14 22:28:20Z  in 11 min
`)
})

test('the token may come on standard input, with Bearer before it, and with a line end', async () => {
  for (const [args, stdin] of [[['-'], `${token}\n`], [[], token], [[], `Authorization: Bearer ${token}\r\n`], [['Bearer', token], ''], [[`bearer ${token}`], '']]) {
    assert.equal((await verify(args, { stdin })).code, 0)
  }
})

test('verify fetches a key set by its URL', async (t) => {
  const url = await serve(t, JSON.stringify({ keys: [key.jwk] }))
  const { code } = await countersign(['verify', '--jwks', url, ...policy, ...at, token])
  assert.equal(code, 0)
})

test('repeated issuers and audiences are alternatives, and repeated scopes are all required', async () => {
  const many = ['verify', '--jwks', jwks, '--issuer', 'x', '--issuer', ISSUER, '--audience=y', `--audience=${AUDIENCE}`, ...at]
  assert.equal((await countersign([...many, token])).code, 0)
  assert.equal((await verify(['--scope', 'read', '--scope', 'write', token])).code, 0)
  assert.match((await verify(['--scope', 'read', '--scope', 'admin', token])).stderr, /^scope_insufficient: /)
})

const rejections = [
  ['token_expired', makeToken(key, claims({ exp: NOW })), [], /issued ─+ expires ─+ now\n/],
  ['token_not_yet_valid', makeToken(key, claims({ iat: NOW + 500 })), [], /now ─+ issued ─+ expires\n/],
  ['token_not_yet_valid', makeToken(key, claims({ nbf: NOW + 500 })), [], /issued ─+ now ─+ valid from ─+ expires\n/],
  ['issuer_mismatch', makeToken(key, claims({ iss: 'evil' })), [], /its iss is evil\n/],
  ['audience_mismatch', makeToken(key, claims({ aud: ['a', 'b'] })), [], /its aud is \["a","b"\]\n/],
  ['scope_insufficient', token, ['--scope', 'admin'], /its scope is read write\n/],
  ['type_mismatch', makeToken(key, claims(), { typ: 'JWT' }), [], /--type JWT\n/],
  ['type_mismatch', makeToken(key, claims(), { typ: undefined }), [], /--type null\n/],
  ['algorithm_not_allowed', makeToken(key, claims(), { alg: 'HS256' }), [], /its alg is HS256/],
  ['key_not_found', makeToken(other), [], /the set has k1:/],
  ['signature_invalid', makeToken({ ...other, kid: 'k1' }), [], /another issuer's key set\?\n/],
  ['token_malformed', 'abc', [], /three parts/],
]
for (const [expected, rejected, args, detail] of rejections) {
  test(`verify reports ${expected} with a hint: ${detail.source}`, async () => {
    const { code, stdout, stderr } = await verify([...args, rejected])
    assert.deepEqual({ code, stdout }, { code: 1, stdout: '' })
    assert.ok(stderr.startsWith(`${expected}: `), stderr)
    assert.match(stderr, detail)
    const json = await verify([...args, '--json', rejected])
    assert.deepEqual([json.code, JSON.parse(json.stdout).valid, JSON.parse(json.stdout).code], [1, false, expected])
    assert.equal(json.stderr.split(': ')[0], expected)
  })
}

const jwt = makeToken(key, claims(), { typ: 'JWT' })
const untyped = makeToken(key, claims(), { typ: undefined })
const shaped = (changes) => makeToken(key, claims(changes))
/** The flags, a token that they accept, and one that they refuse with a code and a hint. */
const policies = {
  '--type of another type': [['--type', 'JWT'], jwt, token, /^type_mismatch: /],
  'several --type': [['--type', 'JWT', '--type', 'at+jwt'], jwt, untyped, /^type_mismatch: /],
  '--type null': [['--type', 'null'], untyped, other.jwk.n, /^token_malformed: .*\n  run countersign explain/],
  '--type none': [['--type', 'none'], untyped, shaped({ exp: NOW }), /^token_expired: /],
  '--type any': [['--type', 'any'], jwt, shaped({ exp: NOW }), /^token_expired: /],
  '--claim with a text': [['--claim', 'azp=web'], shaped({ azp: 'web' }), shaped({ azp: 'app' }), /^claim_mismatch: .*\n  its azp is "app"\n$/],
  '--claim with an equals sign in its value': [['--claim', 'tag=a=b'], shaped({ tag: 'a=b' }), shaped({ tag: 'a' }), /^claim_mismatch: /],
  '--claim with a boolean': [['--claim', 'email_verified=true'], shaped({ email_verified: true }), shaped({ email_verified: 'true' }),
    /^claim_mismatch: .*\n  its email_verified is "true": a string, which is written --claim 'email_verified="true"'\n$/],
  '--claim with a number': [['--claim', 'level=-1.5'], shaped({ level: -1.5 }), shaped({ level: '-1.5' }), /--claim 'level="-1.5"'\n$/],
  '--claim with a quoted text': [['--claim', 'level="2"'], shaped({ level: '2' }), shaped({ level: 2 }), /^claim_mismatch: .*\n  its level is 2\n$/],
  '--claim with a long ID': [['--claim', 'sub=112233445566778899001'], shaped({ sub: '112233445566778899001' }), token, /its sub is "somebody"/],
  'one --claim twice': [['--claim', 'tid=a', '--claim', 'tid=b'], shaped({ tid: 'b' }), shaped({ tid: 'c' }), /^claim_mismatch: /],
  'two --claim': [['--claim', 'a=1', '--claim', 'b=2'], shaped({ a: 1, b: 2 }), shaped({ a: 1 }), /^claim_missing: the required claim b/],
  '--claim for an array': [['--claim', 'groups=x'], shaped({ groups: ['y', 'x'] }), shaped({ groups: ['y'] }), /its groups is \["y"\]\n$/],
  '--required-claim': [['--required-claim', 'jti', '--required-claim', 'sub'], shaped({ jti: '1' }), token, /^claim_missing: the required claim jti/],
  '--scope-claim': [['--scope', 'read', '--scope-claim', 'scp'], shaped({ scp: ['read'] }), token,
    /^scope_insufficient: .*\n  it has no scp, but scope: if that has the scopes, add --scope-claim scope\n$/],
  '--scope without a claim': [['--scope', 'read'], token, makeToken(key), /^scope_insufficient: .*\n  it has no scope\n$/],
  '--clock-tolerance': [['--clock-tolerance', '300'], shaped({ exp: NOW }), shaped({ exp: NOW - 60 }), /^token_expired: the token expired 5 min ago: /],
  '--max-token-age': [['--max-token-age', '240'], token, shaped({ iat: NOW - 1 }), /^token_too_old: /],
  '--max-token-bytes': [['--max-token-bytes', '1000'], token, shaped({ more: 'x'.repeat(1000) }), /^token_too_large: .* 1000 bytes/],
  'a claim that is missing': [[], token, shaped({ aud: undefined }), /^claim_missing: .*\n  .*--audience null, and --claim/],
  'a claim of the wrong type': [[], token, shaped({ sub: 7 }), /^claim_invalid: .*\n  its sub is 7\n$/],
}
for (const [name, [flags, accepted, refused, message]] of Object.entries(policies)) {
  test(`${name} decides about a token`, async () => {
    const [good, bad] = await Promise.all([verify([...flags, accepted]), verify([...flags, refused])])
    assert.deepEqual([good.code, good.stderr], [0, ''])
    assert.match(bad.stderr, message)
    assert.equal(bad.code, 1)
  })
}

test('the hint at the keys of a set names each, even if it is no key', async () => {
  const mixed = await file('mixed-up', { keys: [null, 7, { ...other.jwk, kid: null }, key.jwk] })
  const { stderr } = await countersign(['verify', '--jwks', mixed, ...policy, makeToken({ ...key, kid: 'k9' })])
  const none = '(a key without kid)'
  assert.ok(stderr.includes(`\n  the set has ${none}, ${none}, ${none}, k1: is it`), stderr)
})

test('a token without aud needs --audience null and a claim', async () => {
  const cognito = makeToken(key, claims({ aud: undefined, client_id: 'web', token_use: 'access' }), { typ: undefined })
  const flags = ['verify', '--jwks', jwks, '--issuer', ISSUER, '--audience', 'null', '--type', 'null', ...at]
  assert.equal((await countersign([...flags, '--claim', 'client_id=web', '--claim', 'token_use=access', cognito])).code, 0)
  assert.match((await countersign([...flags, '--claim', 'client_id=app', cognito])).stderr, /^claim_mismatch: /)
  assert.match((await countersign([...flags, cognito])).stderr, /^countersign verify: --audience: option `audience` may be null only if/)
})

test('an issuer may hold the name of a claim', async () => {
  const flags = ['verify', '--jwks', jwks, '--issuer', 'https://login.example/{tid}/v2.0', '--audience', AUDIENCE, ...at]
  assert.equal((await countersign([...flags, shaped({ iss: 'https://login.example/t1/v2.0', tid: 't1' })])).code, 0)
  const { code, stderr } = await countersign([...flags, shaped({ iss: 'https://login.example/t1/v2.0' })])
  assert.match(stderr, /^claim_missing: the required claim tid is missing/)
  assert.equal(code, 1)
})

/** Answers as an issuer: its metadata, with changes, and its keys. */
const issuer = (changes = {}) => (path, origin) => {
  if (path === '/.well-known/oauth-authorization-server') return JSON.stringify({ issuer: origin, jwks_uri: `${origin}/keys`, ...changes })
  return path === '/keys' ? JSON.stringify({ keys: [key.jwk] }) : undefined
}

test('without --jwks the issuer\'s metadata names the keys', async (t) => {
  const { origin } = new URL(await serve(t, issuer()))
  const flags = ['verify', '--issuer', origin, '--audience', AUDIENCE, ...at]
  assert.deepEqual(await countersign([...flags, '--json', shaped({ iss: origin })]).then(({ code, stderr }) => [code, stderr]), [0, ''])
  assert.equal((await countersign([...flags, token])).stderr.split(':')[0], 'issuer_mismatch')
})

test('an outage has the exit code 3, with each command and way', async (t) => {
  const down = await serve(t, 'no', { status: 503 })
  const empty = await serve(t, '{"keys":[]}')
  const huge = new URL(await serve(t, issuer({ more: 'x'.repeat(10 * 1024 * 1024) }))).origin
  const cases = [
    [['verify', '--jwks', down, ...policy, token], /^jwks_unavailable: .*HTTP status 503; expected 200\n$/],
    [['verify', '--jwks', empty, ...policy, token], /^jwks_unavailable: .*the set is empty/],
    [['verify', '--issuer', new URL(down).origin, '--audience', AUDIENCE, token], /^jwks_unavailable: .*\n  .*if there is none, add --jwks\n$/],
    [['verify', '--issuer', huge, '--audience', AUDIENCE, token], /^jwks_unavailable: .*more than 1 MiB/],
    [['lint', down], /^jwks_unavailable: .*HTTP status 503/],
  ]
  for (const [args, message] of cases) {
    const { code, stdout, stderr } = await countersign(args)
    assert.match(stderr, message)
    assert.deepEqual({ code, stdout }, { code: 3, stdout: '' })
  }
  const { code, stdout } = await countersign(['verify', '--json', '--jwks', down, ...policy, token])
  const { retryable, code: name } = JSON.parse(stdout)
  assert.deepEqual({ code, retryable, name }, { code: 3, retryable: true, name: 'jwks_unavailable' })
})

test('a fetched text that is no JWK Set has the exit code 1, as a refused token', async (t) => {
  const many = await serve(t, JSON.stringify({ keys: Array(1001).fill(key.jwk) }))
  for (const url of [many, await serve(t, '{}')]) {
    const { code, stderr } = await countersign(['verify', '--jwks', url, ...policy, token])
    assert.match(stderr, /^jwks_invalid: .*\n  run countersign lint on the key set/)
    assert.equal(code, 1)
  }
  assert.match((await countersign(['lint', many])).stderr, /^jwks_invalid: the key set has more than 1000 keys/)
})

test('--allow-http admits a URL with http', async () => {
  const url = 'http://auth.invalid/jwks.json'
  for (const args of [['verify', '--jwks', url, ...policy, token], ['lint', url]]) {
    assert.equal((await countersign(args)).code, 2)
    assert.match((await countersign([...args, '--allow-http'])).stderr, /^jwks_unavailable: /)
  }
})

test('a time in a message has days and hours, and in JSON it has seconds', async () => {
  const old = shaped({ iat: NOW - 500_000, exp: NOW + 240 - (3 * 86_400 + 4 * 3600 + 5) })
  assert.match((await verify([old])).stderr, /^token_expired: the token expired 3 d 4 h ago: /)
  assert.match(JSON.parse((await verify(['--json', old])).stdout).message, /expired 273605 s ago/)
  assert.match((await verify([shaped({ nbf: NOW + 240 + 7200 })])).stderr, /nbf lies 2 h ahead of this clock/)
  assert.match((await verify([shaped({ exp: NOW + 240 + 3 * 86_400 + 4 * 3600 })])).stdout, /in 3 d 4 h\n/)
})

test('verify --json prints header and payload', async () => {
  const { code, stdout } = await verify(['--json', token])
  assert.equal(code, 0)
  assert.deepEqual(JSON.parse(stdout), { valid: true, header: { alg: 'RS256', typ: 'at+jwt', kid: 'k1' }, payload: claims({ scope: 'read write' }) })
})

const pem = key.privateKey.export({ type: 'pkcs8', format: 'pem' })
const publicPem = createPublicKey(key.privateKey).export({ type: 'spki', format: 'pem' })
const inputs = {
  'no command': [[], /no command: expected verify, explain, lint, completions or --help/],
  'an unknown command': [[token], /^countersign: unknown command/],
  'an unknown flag': [['verify', '--jwk', jwks], /^countersign verify: --jwk is unknown; did you mean --jwks\?\n$/],
  'a flag that is unknown to this command': [['lint', '--issuer', 'x', jwks], /--issuer is unknown/],
  'a token as an unknown flag\'s value': [['verify', `--token=${token}`], /--token is unknown/],
  'a flag without value': [['verify', '--jwks', '--issuer', 'x'], /--jwks needs a value/],
  'an empty value': [['verify', '--jwks=', '--issuer', 'x'], /--jwks needs a value/],
  'a value for a flag that takes none': [['explain', `--json=${token}`], /--json takes no value/],
  'a flag twice': [['verify', '--jwks', jwks, '--jwks', jwks], /--jwks is given twice/],
  'no key set, and an issuer that cannot be discovered': [['verify', '--issuer', 'https://{tid}', '--audience', 'a', token], /^countersign verify: --jwks: option `jwks` is left out/],
  'no issuer': [['verify', '--jwks', jwks, '--audience', 'a', token], /--issuer is missing: the expected issuer, claim iss;/],
  'no audience': [['verify', '--jwks', jwks, '--issuer', 'i', token], /--audience is missing/],
  'no token': [['verify', '--jwks', jwks, ...policy, '-'], /no token on standard input/],
  'two tokens': [['verify', '--jwks', jwks, ...policy, token, token], /expected the token alone/],
  'a scope that is none': [['verify', '--jwks', jwks, ...policy, '--scope', 'a"b', token], /^countersign verify: --scope: option `scope` is not made of scope tokens/],
  'a claim without a value': [['verify', '--jwks', jwks, ...policy, '--claim', 'azp', token], /^countersign verify: --claim is not NAME=VALUE/],
  'a claim without a name': [['verify', '--jwks', jwks, ...policy, '--claim', '=web', token], /--claim is not NAME=VALUE/],
  'a claim that is an object': [['verify', '--jwks', jwks, ...policy, '--claim', 'tid={"a":1}', token], /^countersign verify: --claim: option `claims` is or holds an object/],
  'a claim that is null': [['verify', '--jwks', jwks, ...policy, '--claim', 'tid=null', token], /^countersign verify: --claim: option `claims` /],
  'null among types': [['verify', '--jwks', jwks, ...policy, '--type', 'JWT', '--type', 'null', token], /^countersign verify: --type: /],
  'a tolerance that is no number': [['verify', '--jwks', jwks, ...policy, '--clock-tolerance', '5s', token], /^countersign verify: --clock-tolerance: .*NaN; expected a number of seconds/],
  'a tolerance that is too great': [['verify', '--jwks', jwks, ...policy, '--clock-tolerance', '301', token], /^countersign verify: --clock-tolerance: .*0 to 300/],
  'a set of 1001 keys': [['verify', '--jwks', await file('many', { keys: Array(1001).fill(key.jwk) }), ...policy, token], /many: the key set has more than 1000 keys/],
  'no shell': [['completions'], /expected the name of a shell: bash, zsh, fish/],
  'an unknown shell': [['completions', 'csh'], /expected the name of a shell: bash, zsh, fish/],
  'a time that is none': [['explain', '--now', 'soon', token], /--now is no time/],
  'a URL that is not https': [['verify', '--jwks', 'http://auth.example/jwks', ...policy, token], /: the key set is a URL with http:; expected https:/],
  'a URL of a kind that has no keys': [['lint', 'ftp://auth.example/jwks'], /: the key set is a URL with ftp:/],
  'no file': [['lint', join(folder, 'none')], /does not exist: give the path of a JWK Set, or a URL that begins with https:\/\//],
  'a URL with a password': [['lint', 'https://user:hunter/2@auth.example/jwks'], /: the key set (?!.*hunter)/],
  'a URL with a secret in its query': [['lint', 'ftp://auth.example/jwks?key=hunter2'], /: the key set is a URL with ftp:(?!.*hunter)/],
  'a folder': [['lint', folder], /is a folder/],
  'an empty file': [['lint', await file('empty', '\n')], /is empty/],
  'HTML': [['lint', await file('html', '<!doctype html><p>404')], /is HTML or XML, not JSON: .*jwks_uri/],
  'a public key as PEM': [['verify', '--jwks', await file('pem', publicPem), ...policy, token], /is PEM: .*node -p/],
  'a private key as PEM': [['lint', await file('private.pem', pem)], /holds a private key/],
  'a private key as JWK': [['lint', await file('private', key.privateKey.export({ format: 'jwk' }))], /private is a private or secret key/],
  'a single key': [['lint', await file('single', key.jwk)], /single is a single JWK; expected \{ keys/],
  'a token instead of a key set': [['lint', await file('token', token)], /is a token, not a key set/],
  'text': [['lint', await file('text', 'hello')], /is not JSON/],
  'other JSON': [['lint', await file('other', '[1]')], /other is an array; expected a URL or a JWK Set/],
  'the issuer\'s metadata': [['lint', await file('metadata', { issuer: ISSUER, jwks_uri: `${ISSUER}/jwks` })], /its key set is at https:\/\/auth\.example\/jwks/],
  'too long a file': [['lint', await file('long', `{"keys":[],"x":"${'x'.repeat(1048576)}"}`)], /larger than 1 MiB/],
  'two key sets': [['lint', jwks, jwks], /expected one key set/],
}
for (const [name, [args, message]] of Object.entries(inputs)) {
  test(`${name} is reported in one line, with exit code 2`, async () => {
    const { code, stdout, stderr } = await countersign(args)
    assert.match(stderr, message)
    assert.deepEqual({ code, stdout, lines: stderr.split('\n').length }, { code: 2, stdout: '', lines: 2 })
    for (const secret of [pem.split('\n')[3], 'hunter2']) assert.ok(!stderr.includes(secret))
  })
}

test('the suggested command converts PEM to a key set', async () => {
  const { stderr } = await countersign(['lint', await file('public.pem', publicPem)])
  const [, script] = /node -p '(.*)' < FILE/.exec(stderr)
  const set = await new Promise((resolve, reject) => {
    const child = execFile(process.execPath, ['-p', script], (error, stdout) => (error ? reject(error) : resolve(stdout)))
    child.stdin.end(publicPem)
  })
  const { code, stdout } = await countersign(['lint', '-'], { stdin: set })
  assert.deepEqual([code, stdout], [0, '1 key, 1 usable\n\n  (no kid)  RSA, 2048 bits  usable\n'])
})

test('lint says which keys are usable, and why the others are not', async () => {
  const { n, e } = other.jwk
  const path = await file('mixed', { keys: [
    key.jwk,
    { ...other.jwk, use: 'enc' },
    { kty: 'EC', crv: 'P-256', kid: '\u001b[2Jec' },
    { kty: 'RSA', kid: 'short', n: `${n.slice(0, 170)}A`, e },
    { kty: 'RSA', kid: 7, n, e },
    { kty: 'RSA', n, e },
    { ...other.jwk, kid: 'twice' },
    { ...key.jwk, kid: 'twice' },
  ] })
  const { code, stdout, stderr } = await countersign(['lint', path])
  assert.deepEqual({ code, stderr }, { code: 0, stderr: '' })
  assert.equal(stdout, `8 keys, 1 usable

  k1           RSA, 2048 bits  usable
  k2           RSA, 2048 bits  not usable: its use is not "sig"
  \\u{1b}[2Jec  EC, P-256       not usable: its kty is not "RSA"
  short        RSA, 1024 bits  not usable: its modulus n has 1024 bits: expected 2048 to 8192
  7            RSA, 2048 bits  not usable: its kid is not a string: expected one, or no kid
  (no kid)     RSA, 2048 bits  not usable: it has no kid, which is allowed only if the set has exactly one usable key
  twice        RSA, 2048 bits  not usable: another key of the set has the same kid: the issuer must give each its own
  twice        RSA, 2048 bits  not usable: another key of the set has the same kid: the issuer must give each its own
`)
  const json = await countersign(['lint', '--json', path])
  assert.deepEqual(JSON.parse(json.stdout).keys.map(({ code, reason }) => [code, reason]), [
    [undefined, undefined], ['key_rejected', 'use'], ['key_rejected', 'key_type'], ['key_rejected', 'modulus_size'],
    ['key_rejected', 'kid'], ['key_not_found', undefined], ['key_rejected', 'duplicate_kid'], ['key_rejected', 'duplicate_kid'],
  ])
})

test('lint fails for a private or secret key, and for a set without a usable key', async () => {
  const secrets = { private: key.privateKey.export({ format: 'jwk' }), symmetric: { kty: 'oct', k: 'AAAA', kid: 's' } }
  for (const [name, secret] of Object.entries(secrets)) {
    const path = await file(name, { keys: [other.jwk, secret] })
    const { code, stdout } = await countersign(['lint', path])
    assert.equal(code, 1)
    assert.match(stdout, /^2 keys, 1 usable\n[^]*The set has a private or secret key: replace the key/)
    const json = JSON.parse((await countersign(['lint', '--json', path])).stdout)
    assert.deepEqual(json.keys.map((key) => [key.usable, key.private]), [[true, false], [false, true]])
    for (const part of [secret.d, secret.p, secret.k].filter(Boolean)) assert.ok(!`${stdout}${JSON.stringify(json)}`.includes(part))
  }
  assert.deepEqual(await countersign(['lint', await file('none.json', { keys: [] })]), { code: 1, stdout: '0 keys, 0 usable\n', stderr: '' })
})

test('lint warns of what is tolerated, and null is no private key', async () => {
  const { n, e } = key.jwk
  const padded = `${Buffer.from(other.jwk.n, 'base64url').toString('base64')}`
  const path = await file('tolerated', `\ufeff${JSON.stringify({ keys: [
    { ...key.jwk, kid: 'null', d: null, k: null },
    { ...key.jwk, kid: 'zero', n: Buffer.concat([Buffer.of(0), Buffer.from(n, 'base64url')]).toString('base64url'), e: 'AAEAAQ' },
    { ...other.jwk, kid: 'base64', n: padded },
    { ...key.jwk, kid: 'twice' },
    { ...key.jwk, kid: 'twice' },
    { kty: 'EC', crv: 'P-256', kid: 'same' },
    { ...key.jwk, kid: 'same' },
    7,
  ] })}`)
  const { code, stdout, stderr } = await countersign(['lint', path])
  assert.deepEqual({ code, stderr }, { code: 0, stderr: '' })
  const json = JSON.parse((await countersign(['lint', '--json', path])).stdout)
  assert.deepEqual(json.keys.map(({ usable, private: secret, warnings, reason }) => [usable, secret, warnings, reason]), [
    [true, false, ['d is null', 'k is null'], undefined],
    [true, false, ['n begins with a zero octet', 'e begins with a zero octet'], undefined],
    [true, false, [...(padded.includes('=') ? ['n is padded'] : []), ...(/[+/]/.test(padded) ? ['n is in base64, not base64url'] : [])], undefined],
    [true, false, ['it is in the set more than once'], undefined],
    [true, false, ['it is in the set more than once'], undefined],
    [false, false, [], 'key_type'],
    [true, false, [], undefined],
    [false, false, [], 'not_object'],
  ])
  assert.match(stdout, /^8 keys, 6 usable\n/)
  assert.match(stdout, /null +RSA, 2048 bits +usable, but d is null, k is null\n/)
  assert.match(stdout, /zero +RSA, 2048 bits +usable, but n begins with a zero octet/)
  assert.ok(!stdout.includes('private or secret'))
  const single = await file('single-null', { ...key.jwk, d: null })
  assert.match((await countersign(['lint', single])).stderr, /is a single JWK/)
})

test('lint parses a file as strictly as a response', async () => {
  const twice = await file('member-twice', JSON.stringify({ keys: [key.jwk] }).replace('{"keys"', '{"keys":[],"keys"'))
  const { code, stderr } = await countersign(['lint', twice])
  assert.deepEqual([code, stderr.split(':')[0]], [1, 'jwks_invalid'])
})

test('lint fetches a key set by its URL, and reports a bad response', async (t) => {
  const good = await countersign(['lint', await serve(t, JSON.stringify({ keys: [key.jwk] }))])
  assert.deepEqual([good.code, good.stdout.split('\n')[0]], [0, '1 key, 1 usable'])
  const missing = await countersign(['lint', await serve(t, 'no', { status: 404 })])
  assert.match(missing.stderr, /^jwks_unavailable: .*404/)
  const html = await countersign(['lint', await serve(t, '<p>hello', { type: 'text/html' })])
  assert.match(html.stderr, /^jwks_\w+: /)
  assert.deepEqual([missing.code, html.code], [3, 3])
  const metadata = await countersign(['lint', await serve(t, JSON.stringify({ issuer: ISSUER, jwks_uri: `${ISSUER}/keys` }))])
  assert.match(metadata.stderr, /^countersign lint: http:\S+\/jwks.json is the issuer's metadata: its key set is at https:\/\/auth.example\/keys\n$/)
  assert.equal(metadata.code, 2)
})

test('lint reads a pipe', async () => {
  for (const args of [[], ['-']]) {
    const { code, stdout } = await countersign(['lint', ...args], { stdin: JSON.stringify({ keys: [key.jwk] }) })
    assert.deepEqual([code, stdout], [0, '1 key, 1 usable\n\n  k1  RSA, 2048 bits  usable\n'])
  }
  const { code, stderr } = await countersign(['lint'])
  assert.deepEqual([code, stderr], [2, 'countersign lint: standard input is empty: expected a JWK Set, { "keys": [ … ] }\n'])
})

test('--json escapes the characters that a terminal acts on', async () => {
  const evil = claims({ note: '\u009b2J\u202e\u2028\u{e0001}é' })
  const { stdout } = await verify(['--json', makeToken(key, evil)])
  assert.doesNotMatch(stdout, /(?!\n)[\p{Cc}\p{Cf}\p{Zl}]/u)
  assert.deepEqual(JSON.parse(stdout).payload, evil)
})

const COMMANDS = ['verify', 'explain', 'lint', 'completions']

test('each command has a help text with an example and its exit codes, and --version works', async () => {
  for (const args of [['--help'], ['help'], ['-h'], ['help', 'nonsense']]) {
    const { code, stdout } = await countersign(args)
    assert.match(stdout, /^Usage: countersign COMMAND\n/)
    for (const name of COMMANDS) assert.match(stdout, new RegExp(`^  ${name} +\\w`, 'm'))
    assert.equal(code, 0)
  }
  for (const name of COMMANDS) {
    for (const args of [[name, '--help'], ['help', name], [name, '--jwks', '-h']]) {
      const { code, stdout } = await countersign(args)
      assert.equal(code, 0)
      assert.match(stdout, new RegExp(`^Usage: countersign ${name} .*\n\n[^]*\n\nExample:\n  .*countersign ${name}\\b[^]*\n\nExit codes: 0 `))
      for (const line of stdout.split('\n')) assert.ok(line.length <= 100, line)
    }
  }
  const { version } = JSON.parse(await readFile(new URL('../../pkg/package.json', import.meta.url), 'utf8'))
  assert.equal((await countersign(['--version'])).stdout, `${version}\n`)
})

test('the help and the README name each flag', async () => {
  const readme = await readFile(new URL('../../pkg/README.md', import.meta.url), 'utf8')
  for (const name of ['verify', 'explain', 'lint']) {
    const { [name]: command } = await import(`../../pkg/dist/cli/${name}.js`)
    const { stdout } = await countersign([name, '--help'])
    for (const flag of Object.keys(command.flags)) {
      assert.match(stdout, new RegExp(`^  --${flag} `, 'm'))
      assert.ok(readme.includes(`\`--${flag}`), flag)
    }
  }
})

test('colours are for terminals that want them, and FORCE_COLOR comes before NO_COLOR', async () => {
  const script = `
    import { WriteStream } from 'node:tty'
    import { Output } from '../../pkg/dist/cli/terminal.js'
    const terminal = Object.create(WriteStream.prototype)
    process.stdout.write(JSON.stringify([terminal, process.stderr].map((stream) => new Output(stream).paint('red', 'x') !== 'x')))`
  const painted = async (env) => {
    const { stdout, stderr } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], { cwd: fileURLToPath(new URL('.', import.meta.url)), env })
    assert.equal(stderr, '')
    return JSON.parse(stdout)
  }
  const TERM = 'xterm-256color'
  // The environment, then: does a terminal get colours, does a pipe?
  const cases = [
    [{ TERM }, [true, false]],
    [{ TERM, NO_COLOR: '1' }, [false, false]],
    [{ TERM: 'dumb' }, [false, false]],
    [{ TERM: 'dumb', FORCE_COLOR: '' }, [true, true]],
    ...['1', '2', '3', 'true'].map((value) => [{ TERM, FORCE_COLOR: value, NO_COLOR: '1' }, [true, true]]),
    ...['0', 'false', 'no'].map((value) => [{ TERM, FORCE_COLOR: value }, [false, false]]),
  ]
  for (const [env, expected] of cases) assert.deepEqual(await painted(env), expected, JSON.stringify(env))
  const { stdout } = await verify([token], { env: { FORCE_COLOR: '1' } })
  assert.ok(stdout.startsWith('\u001b[32mvalid\u001b[39m'), stdout)
})

test('the packed package contains the command', async () => {
  const npm = (...args) => promisify(execFile)('npm', [...args, '--offline', '--no-audit', '--no-fund'], { cwd: folder, shell: process.platform === 'win32' })
  const pack = await npm('pack', fileURLToPath(new URL('../../pkg', import.meta.url)), '--json')
  await npm('install', join(folder, JSON.parse(pack.stdout)[0].filename), '--prefix', folder)
  const command = join(folder, 'node_modules/.bin/countersign')
  const { stdout } = await promisify(execFile)(command, ['lint', jwks], { shell: process.platform === 'win32' })
  assert.match(stdout, /^1 key, 1 usable/)
})
