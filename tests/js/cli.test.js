import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { createPublicKey } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { AUDIENCE, claims, ISSUER, makeKey, makeToken, NOW } from './package-tokens.js'

const program = fileURLToPath(new URL('../../pkg/dist/cli/main.js', import.meta.url))
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

/** Runs the program. Fails if the output repeats a token. */
function countersign(args, { stdin = '', env = {} } = {}) {
  return new Promise((resolve) => {
    const child = execFile(process.execPath, [program, ...args], { env: { PATH: process.env.PATH, ...env } }, (error, stdout, stderr) => {
      const given = [...args, stdin].flatMap((text) => text.split('.')).filter((part) => part.length > 40 && !/[/\s]/.test(part))
      for (const part of given) assert.ok(!`${stdout}${stderr}`.includes(part), 'the token is repeated')
      assert.doesNotMatch(stderr, /at .*\.js:\d+/, 'a stack trace')
      resolve({ code: error?.code ?? 0, stdout, stderr })
    })
    child.stdin.on('error', () => {})
    child.stdin.end(stdin)
  })
}

const verify = (args, input) => countersign(['verify', '--jwks', jwks, ...policy, ...at, ...args], input)

/** Serves one response until the test ends, and returns the URL. */
async function serve(t, body, { status = 200, type = 'application/jwk-set+json' } = {}) {
  const server = createServer((request, response) => response.writeHead(status, { 'content-type': type }).end(body)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => (server.close(), server.closeAllConnections()))
  return `http://127.0.0.1:${server.address().port}/jwks.json`
}

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
  ['type_mismatch', makeToken(key, claims(), { typ: undefined }), [], /--type any\n/],
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

test('--type accepts another type, or any', async () => {
  const jwt = makeToken(key, claims(), { typ: 'JWT' })
  assert.equal((await verify(['--type', 'JWT', jwt])).code, 0)
  assert.equal((await verify(['--type', 'any', jwt])).code, 0)
  assert.equal((await verify(['--type', 'JWT', token])).code, 1)
})

test('verify --json prints header and payload', async () => {
  const { code, stdout } = await verify(['--json', token])
  assert.equal(code, 0)
  assert.deepEqual(JSON.parse(stdout), { valid: true, header: { alg: 'RS256', typ: 'at+jwt', kid: 'k1' }, payload: claims({ scope: 'read write' }) })
})

const pem = key.privateKey.export({ type: 'pkcs8', format: 'pem' })
const publicPem = createPublicKey(key.privateKey).export({ type: 'spki', format: 'pem' })
const inputs = {
  'no command': [[], /no command: expected verify, explain, lint or --help/],
  'an unknown command': [[token], /^countersign: unknown command/],
  'an unknown flag': [['verify', '--jwk', jwks], /^countersign verify: --jwk is unknown; did you mean --jwks\?\n$/],
  'a flag that is unknown to this command': [['lint', '--issuer', 'x', jwks], /--issuer is unknown/],
  'a token as an unknown flag\'s value': [['verify', `--token=${token}`], /--token is unknown/],
  'a flag without value': [['verify', '--jwks', '--issuer', 'x'], /--jwks needs a value/],
  'an empty value': [['verify', '--jwks=', '--issuer', 'x'], /--jwks needs a value/],
  'a value for a flag that takes none': [['explain', `--json=${token}`], /--json takes no value/],
  'a flag twice': [['verify', '--jwks', jwks, '--jwks', jwks], /--jwks is given twice/],
  'no key set': [['verify', ...policy, token], /--jwks is missing/],
  'no issuer': [['verify', '--jwks', jwks, '--audience', 'a', token], /--issuer is missing/],
  'no audience': [['verify', '--jwks', jwks, '--issuer', 'i', token], /--audience is missing/],
  'no token': [['verify', '--jwks', jwks, ...policy, '-'], /no token on standard input/],
  'two tokens': [['verify', '--jwks', jwks, ...policy, token, token], /expected the token alone/],
  'a scope that is none': [['verify', '--jwks', jwks, ...policy, '--scope', 'a"b', token], /^countersign verify: --scope: option `scope` is not made of scope tokens/],
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
  short        RSA, 1024 bits  not usable: its modulus n is out of range: expected 2048 to 8192 bits
  7            RSA, 2048 bits  not usable: its kid is not a string
  (no kid)     RSA, 2048 bits  not usable: it has no kid, which is allowed only if the set has exactly one usable key
  twice        RSA, 2048 bits  not usable: another usable key of the set has the same kid
  twice        RSA, 2048 bits  not usable: another usable key of the set has the same kid
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
  assert.deepEqual([missing.code, html.code], [1, 1])
})

test('explain shows the content of a token, and says that nothing was verified', async () => {
  const forged = makeToken({ ...other, kid: 'k1' }, claims({ nbf: NOW + 300, note: '\u202e\u001b]0;x\u0007' }))
  const { code, stdout, stderr } = await countersign(['explain', ...at, forged])
  assert.deepEqual({ code, stderr }, { code: 0, stderr: '' })
  assert.equal(stdout, `not verified: anybody can write this; check it with countersign verify

header: an access token (RFC 9068)
  alg  signature algorithm  RS256
  typ  token type           at+jwt
  kid  key name             k1

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
    [{}, '{}', /exp +claim_missing: the claim is required/],
    [{}, claims({ exp: NOW }), /exp +token_expired: /],
    [{ typ: 'dpop+jwt' }, claims(), /^header: a DPoP proof/m],
  ]
  for (const [header, payload, expected] of cases) {
    const { code, stdout } = await countersign(['explain', ...at, makeToken(key, payload, header)])
    assert.equal(code, 0)
    assert.match(stdout, expected)
  }
})

test('explain guesses the kind of a text that is no JWT', async () => {
  for (const [text, expected] of [['a.b.c.d.e', /encrypted token \(JWE\)/], ['0123456789', /opaque token, such as a refresh token/], ['e30.e30', /truncated/]]) {
    const { code, stderr } = await countersign(['explain', text])
    assert.equal(code, 1)
    assert.match(stderr, /^token_malformed: /)
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

test('--json escapes the characters that a terminal acts on', async () => {
  const evil = claims({ note: '\u009b2J\u202e\u2028\u{e0001}é' })
  const { stdout } = await verify(['--json', makeToken(key, evil)])
  assert.doesNotMatch(stdout, /(?!\n)[\p{Cc}\p{Cf}\p{Zl}]/u)
  assert.deepEqual(JSON.parse(stdout).payload, evil)
})

test('each command has a help text, and --version works', async () => {
  for (const args of [['--help'], ['help'], ['-h']]) assert.match((await countersign(args)).stdout, /^Usage: countersign COMMAND/)
  for (const name of ['verify', 'explain', 'lint']) {
    for (const args of [[name, '--help'], ['help', name], [name, '--jwks', '-h']]) {
      const { code, stdout } = await countersign(args)
      assert.equal(code, 0)
      assert.ok(stdout.startsWith(`Usage: countersign ${name} `))
      for (const line of stdout.split('\n')) assert.ok(line.length <= 110, line)
    }
  }
  const { version } = JSON.parse(await readFile(new URL('../../pkg/package.json', import.meta.url), 'utf8'))
  assert.equal((await countersign(['--version'])).stdout, `${version}\n`)
})

test('the help of a command documents each flag', async () => {
  for (const name of ['verify', 'explain', 'lint']) {
    const { [name]: command } = await import(`../../pkg/dist/cli/${name}.js`)
    for (const flag of Object.keys(command.flags)) assert.match(command.help, new RegExp(`^  --${flag} `, 'm'))
  }
})

test('only terminals that want colours get them', async () => {
  const script = `
    import { WriteStream } from 'node:tty'
    import { Output } from '../../pkg/dist/cli/terminal.js'
    const terminal = Object.create(WriteStream.prototype)
    process.stdout.write(JSON.stringify([terminal, process.stderr].map((stream) => new Output(stream).paint('red', 'x'))))`
  const painted = async (env) => {
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], { cwd: fileURLToPath(new URL('.', import.meta.url)), env })
    return JSON.parse(stdout)
  }
  assert.deepEqual(await painted({ TERM: 'xterm-256color' }), ['\u001b[31mx\u001b[39m', 'x'])
  assert.deepEqual(await painted({ TERM: 'xterm-256color', NO_COLOR: '1' }), ['x', 'x'])
  assert.deepEqual(await painted({ TERM: 'dumb' }), ['x', 'x'])
})

test('the packed package contains the command', async () => {
  const npm = (...args) => promisify(execFile)('npm', [...args, '--offline', '--no-audit', '--no-fund'], { cwd: folder, shell: process.platform === 'win32' })
  const pack = await npm('pack', fileURLToPath(new URL('../../pkg', import.meta.url)), '--json')
  await npm('install', join(folder, JSON.parse(pack.stdout)[0].filename), '--prefix', folder)
  const command = join(folder, 'node_modules/.bin/countersign')
  const { stdout } = await promisify(execFile)(command, ['lint', jwks], { shell: process.platform === 'win32' })
  assert.match(stdout, /^1 key, 1 usable/)
})
