import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createVerifier, VerifyError } from 'countersign'
import { readOptions } from '../../pkg/dist/all-options.js'
import { readPlainOptions } from '../../pkg/dist/options.js'
import { tools } from '../../pkg/dist/tools.js'
import { claims, makeKey, makeToken, options } from './package-tokens.js'

const key = makeKey('k1')
const privateJwk = key.privateKey.export({ format: 'jwk' })
const pem = key.privateKey.export({ format: 'pem', type: 'pkcs8' })

// Each case: the changed options, and the expected message.
const refused = [
  [{ issuer: undefined }, /issuer/],
  [{ issuer: undefined, jwks: undefined }, /option `issuer` is or holds undefined; expected a string/],
  [{ issuer: 7, jwks: undefined }, /option `issuer` is or holds 7; expected a string/],
  [{ issuer: '' }, /issuer/],
  [{ issuer: [] }, /issuer/],
  [{ issuer: new URL('https://auth.example') }, /issuer.*an object.*string/],
  [{ issuer: ['https://auth.example', undefined] }, /issuer.*undefined.*string/],
  [{ audience: undefined }, /audience/],
  [{ audience: 7 }, /audience/],
  [{ audience: [null] }, /audience/],
  [{ audience: null }, /audience/],
  [{ audience: null, claims: {} }, /audience/],
  [{ claims: { tid: { eq: 1 } } }, /claims.*an object/],
  [{ claims: { tid: undefined } }, /claims.*undefined/],
  [{ claims: { tid: [undefined] } }, /claims.*undefined/],
  [{ claims: { tid: null } }, /claims/],
  [{ claims: { tid: [] } }, /claims/],
  [{ claims: { tid: [['a']] } }, /claims.*an array/],
  [{ claims: { n: NaN } }, /claims.*NaN/],
  [{ claims: new Map([['tid', 'a']]) }, /claims.*an object/],
  [{ claims: Object.create({ tid: 'a' }) }, /claims.*an object/],
  [{ claims: new (class { get tid() { return 'a' } })() }, /claims.*an object/],
  [{ claims: ['tid'] }, /claims/],
  [{ claims: 'tid' }, /claims/],
  [{ claims: null }, /claims/],
  [{ scopeClaim: '' }, /scopeClaim/],
  [{ scopeClaim: ['scp', 'roles'] }, /scopeClaim/],
  [{ scopeClaim: 7 }, /scopeClaim/],
  [{ type: [] }, /type/],
  [{ type: ['JWT', null] }, /type/],
  [{ type: [undefined] }, /type.*undefined/],
  [{ issuer: 'https://{tid' }, /issuer/],
  [{ issuer: 'https://{}/' }, /issuer/],
  [{ type: 7 }, /type/],
  [{ clockTolerance: -1 }, /clockTolerance/],
  [{ clockTolerance: 301 }, /clockTolerance/],
  [{ clockTolerance: '5' }, /clockTolerance/],
  [{ clockTolerance: NaN }, /clockTolerance.*NaN/],
  [{ clockTolerance: 5n }, /clockTolerance.*bigint/],
  [{ maxTokenAge: -1 }, /maxTokenAge/],
  [{ maxTokenAge: '15m' }, /maxTokenAge/],
  [{ requiredClaims: 'sub' }, /requiredClaims/],
  [{ requiredClaims: [7] }, /requiredClaims/],
  [{ scope: () => 'read' }, /scope.*a function/],
  [{ scope: [Symbol('read')] }, /scope.*a symbol/],
  [{ maxTokenBytes: 0 }, /maxTokenBytes/],
  [{ maxTokenBytes: null }, /maxTokenBytes/],
  [{ maxTokenBytes: Infinity }, /maxTokenBytes/],
  [{ cache: -1 }, /cache.*-1.*0 to 1000000/],
  [{ cache: 1.5 }, /cache.*1\.5.*whole number/],
  [{ cache: 1_000_001 }, /cache.*1000001.*0 to 1000000/],
  [{ cache: '100' }, /cache.*a string.*whole number/],
  [{ cache: true }, /cache.*a boolean/],
  [{ cache: null }, /cache.*null/],
  [{ status: { maxStale: 60 } }, /status.*an object; expected statusList\(\) of countersign\/status/],
  [{ now: 1700000000 }, /now.*1700000000.*a function/],
  [{ fetch: 'fetch' }, /fetch.*a function/],
  [{ fetch: null }, /fetch.*null.*a function/],
  [{ audiance: 'api' }, /audiance.*did you mean audience\?/],
  [{ maxtokenage: 60 }, /maxtokenage.*did you mean maxTokenAge\?/],
  [{ algorithms: ['RS256'] }, /algorithms.*the options are issuer, audience/],
  [{ jwksOptions: 5000 }, /jwksOptions.*an object/],
  [{ jwksOptions: { timeoutMS: 1 } }, /jwksOptions\.timeoutMS.*did you mean jwksOptions\.timeoutMs\?/],
  [{ jwksOptions: { timeoutMs: 0 } }, /jwksOptions\.timeoutMs.*1 to 60000/],
  [{ jwksOptions: { timeoutMs: '5s' } }, /jwksOptions\.timeoutMs/],
  [{ jwksOptions: { minTtl: 60, maxTtl: 59 } }, /jwksOptions\.maxTtl.*less than/],
  [{ jwksOptions: { cooldown: NaN } }, /jwksOptions\.cooldown.*NaN/],
  [{ jwksOptions: { staleIfError: -1 } }, /jwksOptions\.staleIfError.*-1.*0 to 604800/],
  [{ jwksOptions: { staleIfError: 604_801 } }, /jwksOptions\.staleIfError.*604801.*0 to 604800/],
  [{ jwksOptions: { staleIfError: '1d' } }, /jwksOptions\.staleIfError.*a string/],
  [{ jwksOptions: { allowHttp: 'yes' } }, /jwksOptions\.allowHttp.*a string; expected true or false/],
  [{ jwksOptions: { allowHttp: null } }, /jwksOptions\.allowHttp.*null/],
  [{ jwksOptions: { onError: console } }, /jwksOptions\.onError.*an object; expected a function/],
  [{ jwksOptions: { store: {} } }, /jwksOptions\.store.*an object; expected.*get and put/],
  [{ jwksOptions: { store: { get: async () => null } } }, /jwksOptions\.store.*get and put/],
  [{ jwksOptions: { store: new Map() } }, /jwksOptions\.store.*get and put/],
  [{ jwksOptions: { store: null } }, /jwksOptions\.store.*null/],
  [{ jwksOptions: { store: 'redis://cache' } }, /jwksOptions\.store.*a string/],
  [{ jwks: null }, /jwks.*null/],
  [{ jwks: [key.jwk] }, /jwks.*an array/],
  [{ jwks: key.jwk }, /jwks.*a single JWK.*keys/],
  [{ jwks: privateJwk }, /jwks.*private/],
  [{ jwks: { kty: 'oct', k: 'AAAA' } }, /jwks.*secret/],
  [{ jwks: key.privateKey }, /jwks.*no JWK Set/],
  [{ jwks: { keys: [1n] } }, /jwks.*JSON/],
  [{ jwks: pem }, /jwks.*a private or secret key/],
  [{ jwks: JSON.stringify({ keys: [privateJwk] }) }, /jwks.*a private or secret key/],
  [{ jwks: JSON.stringify({ keys: [key.jwk] }) }, /jwks.*JSON\.parse/],
  [{ aud: 'api' }, /aud.*did you mean audience\?/],
  [{ jw: 'https://auth.example' }, /jw`.*the options are issuer/],
  [{ jwks: '' }, /jwks.*no absolute URL/],
  [{ jwks: '/.well-known/jwks.json' }, /jwks.*no absolute URL/],
  [{ jwks: 'http://auth.example/jwks.json' }, /jwks.*https:/],
  [{ jwks: 'http://127.0.0.1.evil.example/' }, /jwks.*https:/],
  [{ jwks: 'http://localhost.evil.example/' }, /jwks.*https:.*jwksOptions\.allowHttp/],
  [{ jwks: 'http://evillocalhost/' }, /jwks.*https:/],
  [{ jwks: 'http://localhost../' }, /jwks/],
  [{ jwks: 'ftp://auth.example/', jwksOptions: { allowHttp: true } }, /jwks.*ftp:/],
  [{ jwks: new URL('file:///etc/jwks.json') }, /jwks.*file:.*https:/],
  [{ jwks: 'https://user@auth.example/' }, /jwks.*user name/],
  [{ jwks: 'https://:pass@auth.example/' }, /jwks.*user name/],
]
for (const [changes, message] of refused) {
  const [name] = Object.keys(changes)
  test(`a wrong option ${name} is refused: ${message}`, async () => {
    const refusal = await createVerifier(options([key], changes)).then(() => assert.fail('accepted'), (error) => error)
    assert.ok(refusal instanceof VerifyError, String(refusal))
    const { code, stage, reason, retryable, wwwAuthenticate } = refusal
    const [inner] = name === 'jwksOptions' ? Object.keys(Object(changes[name])) : []
    assert.deepEqual({ code, stage, retryable, wwwAuthenticate }, {
      code: 'options_invalid', stage: 'options', retryable: false, wwwAuthenticate: 'Bearer',
    })
    assert.equal(reason, /`([^`]*)`/.exec(refusal.message)[1])
    assert.ok(reason.startsWith(inner === undefined ? name : `${name}.`), reason)
    assert.match(refusal.message, message)
    assert.match(refusal.message, /^[^\n]{1,300}$/)
    for (const secret of [privateJwk.d, pem.split('\n')[1], 'pass@']) assert.ok(!refusal.message.includes(secret))
  })
}

test('options that are no object are refused', async () => {
  for (const nothing of [undefined, null, [], 'options', () => {}]) {
    await assert.rejects(createVerifier(nothing), { code: 'options_invalid', reason: 'options' })
  }
})

test('jwksOptions.allowHttp admits http to any host, also as an issuer', async () => {
  const asked = []
  const fetch = async (url) => {
    asked.push(url)
    return Response.json({ issuer: 'http://keycloak:8080', jwks_uri: 'http://keycloak:8080/keys', keys: [key.jwk] })
  }
  const changes = { fetch, jwksOptions: { allowHttp: true } }
  const given = await createVerifier(options([], { ...changes, jwks: 'http://keycloak:8080/keys' }))
  await given.verify(makeToken(key))
  const discovered = await createVerifier(options([], { ...changes, issuer: 'http://keycloak:8080', jwks: undefined }))
  await discovered.verify(makeToken(key, claims({ iss: 'http://keycloak:8080' })))
  assert.deepEqual(asked.map((url) => new URL(url).pathname), ['/keys', '/.well-known/oauth-authorization-server', '/keys'])
})

test('tokens of other shapes are described by options', async () => {
  const cases = [
    [{ audience: null, type: null, claims: { client_id: 'web' } }, { aud: undefined, client_id: 'web' }, { typ: undefined }],
    [{ claims: { azp: ['a', 'b'], email_verified: true, level: 2 } }, { azp: 'b', email_verified: true, level: 2 }],
    [{ claims: { groups: 'x' } }, { groups: ['y', 'x'] }],
    [{ claims: Object.assign(Object.create(null), { tid: 'a' }) }, { tid: 'a' }],
    [{ type: ['at+jwt', 'JWT'] }, {}, { typ: 'JWT' }],
    [{ issuer: 'https://login.example/{tid}/v2.0' }, { iss: 'https://login.example/t1/v2.0', tid: 't1' }],
    [{ scope: 'read', scopeClaim: 'scp' }, { scp: 'read write' }],
    [{ scope: ['read', 'write'], scopeClaim: 'permissions' }, { permissions: ['write', 'read'] }],
  ]
  for (const [changes, claimed, header] of cases) {
    const verifier = await createVerifier(options([key], changes))
    await verifier.verify(makeToken(key, claims(claimed), header))
  }
})

test('an undefined option counts as absent', async () => {
  const names = ['claims', 'scopeClaim', 'type', 'clockTolerance', 'maxTokenAge', 'requiredClaims', 'scope', 'maxTokenBytes', 'cache', 'now', 'fetch', 'jwksOptions', 'status']
  await createVerifier(options([key], Object.fromEntries(names.map((name) => [name, undefined]))))
})

test('every safe URL is accepted, and none is fetched', async () => {
  const fetch = () => assert.fail('fetched')
  const urls = ['https://auth.example/jwks', new URL('https://auth.example'), 'http://localhost:1/', 'http://127.0.0.1:1', 'http://127.1/', 'http://[::1]:1/', 'http://app.localhost/', 'http://localhost./', 'http://a.b.localhost.:1/']
  for (const jwks of urls) await createVerifier(options([], { jwks, fetch }))
})

const needed = { issuer: 'https://auth.example', audience: 'api', jwks: 'https://auth.example/jwks.json' }

test('plain options are read like all others', () => {
  const changes = [
    {},
    { issuer: ['https://auth.example', 'https://{tid}.example'], audience: null },
    { type: null, scope: ['read', 'write'], scopeClaim: 'scp', requiredClaims: [] },
    { clockTolerance: 5, maxTokenAge: 60, maxTokenBytes: 1000 },
    { issuer: '', clockTolerance: -1, maxTokenBytes: 'many' },
  ]
  for (const change of changes) {
    const settings = [readPlainOptions({ ...needed, ...change }), readOptions({ ...needed, ...change }, undefined, tools)]
    const [plain, any] = settings.map((read) => JSON.parse(JSON.stringify({ ...read, policy: JSON.parse(read.policy) })))
    assert.deepEqual(plain, any)
    assert.equal(settings[0].now, settings[1].now)
  }
})

test('options that JSON would change, and those that are not of the policy, are not plain', () => {
  const changes = [
    { issuer: undefined },
    { audience: ['api', undefined] },
    { audience: [['api']] },
    { clockTolerance: NaN },
    { claims: { tid: 'a' } },
    { cache: 0 },
    { aud: 'api' },
    { jwks: undefined },
    { jwks: new URL('https://auth.example/jwks.json') },
    { jwks: 'http://localhost/jwks.json' },
    { jwks: 'https://me:secret@auth.example/jwks.json' },
    { jwks: 'auth.example/jwks.json' },
    { jwks: { keys: [] } },
  ]
  for (const change of changes) assert.equal(readPlainOptions({ ...needed, ...change }), undefined)
  for (const options of [undefined, null, 'https://auth.example', [needed]]) assert.equal(readPlainOptions(options), undefined)
})

test('changes of the options after the call have no effect', async () => {
  const changes = [
    [() => ({ audience: ['other'] }), ({ audience }) => audience.push('api')],
    [() => ({ claims: { sub: 'nobody' } }), ({ claims }) => { claims.sub = 'somebody' }],
    [() => ({ jwks: { keys: [] } }), ({ jwks }) => jwks.keys.push(key.jwk)],
    [() => ({ jwks: { keys: [{ ...key.jwk, key_ops: ['encrypt'] }] } }), ({ jwks }) => { jwks.keys[0].key_ops[0] = 'verify' }],
  ]
  for (const [change, later] of changes) {
    for (const several of [false, true]) {
      const given = options([key], change())
      const creation = createVerifier(several ? [given] : given)
      later(given)
      const verifier = await creation
      assert.throws(() => verifier.verifySync(makeToken(key)), VerifyError, `${later}`)
    }
  }
})
