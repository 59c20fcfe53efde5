// The key set's URL from the issuer's metadata, if the option `jwks` is left out.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { test } from 'node:test'
import { createVerifier } from 'countersign'
import { eventually, jwks, key, next, status } from './package-endpoint.js'
import { AUDIENCE, claims, ISSUER, makeToken, NOW } from './package-tokens.js'

const OAUTH = '/.well-known/oauth-authorization-server'
const OPENID = '/.well-known/openid-configuration'
const KEYS = '/keys.json'

/** Starts an issuer. It answers by `routes`, or 404, and counts the requests for each path. `path` is that of its name. */
async function issuer(t, path = '') {
  const state = { routes: {}, counts: {}, headers: [] }
  const server = createServer((request, response) => {
    state.counts[request.url] = (state.counts[request.url] ?? 0) + 1
    state.headers.push([request.url, request.headers])
    ;(state.routes[request.url] ?? status(404))(response, request)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.close()
    server.closeAllConnections()
  })
  state.origin = `http://127.0.0.1:${server.address().port}`
  state.name = `${state.origin}${path}`
  state.metadata = { issuer: state.name, jwks_uri: `${state.origin}${KEYS}` }
  state.routes = { [OAUTH]: json(state.metadata), [KEYS]: jwks([key]) }
  state.token = (signer = key, changes = {}) => makeToken(signer, claims({ iss: state.name, exp: NOW + 1e7, ...changes }))
  state.token0 = state.token()
  return state
}

function json(value, headers = {}) {
  return (response) => response.writeHead(200, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(value))
}

async function discover(server, changes = {}) {
  const clock = { now: NOW }
  const verifier = await createVerifier({ issuer: server.name, audience: AUDIENCE, now: () => clock.now, ...changes })
  return { verifier, clock }
}

async function refusalOf(server, changes) {
  const { verifier } = await discover(server, changes)
  const refusal = await verifier.verify(server.token0).then(() => assert.fail('accepted'), (error) => error)
  assert.deepEqual([refusal.code, refusal.retryable, refusal.stage], ['jwks_unavailable', true, 'key'])
  assert.match(refusal.message, /^[^\n]{1,900}$/)
  return refusal
}

test('fifty cold verifications share one fetch of the metadata and one of the keys', async (t) => {
  const server = await issuer(t)
  const { verifier } = await discover(server)
  assert.deepEqual(server.counts, {})
  await Promise.all(Array.from({ length: 50 }, () => verifier.verify(server.token0)))
  await verifier.verify(server.token0)
  verifier.verifySync(server.token0)
  assert.deepEqual(server.counts, { [OAUTH]: 1, [KEYS]: 1 })
  assert.deepEqual(verifier.keys(), { keys: [key.jwk] })
})

test('a token that no key can save causes no fetch', async (t) => {
  const server = await issuer(t)
  const { verifier } = await discover(server)
  for (const one of ['', 'a.b.c', makeToken(key, claims(), { typ: 'JWT' })]) await assert.rejects(verifier.verify(one), { name: 'VerifyError' })
  assert.throws(() => verifier.verifySync(server.token0), { code: 'jwks_unavailable' })
  assert.deepEqual(server.counts, {})
})

for (const { path, first, second } of [
  { path: '', first: OAUTH, second: OPENID },
  { path: '/', first: OAUTH, second: OPENID },
  { path: '/realms/one', first: `${OAUTH}/realms/one`, second: `/realms/one${OPENID}` },
  { path: '/realms/one/', first: `${OAUTH}/realms/one`, second: `/realms/one${OPENID}` },
]) {
  test(`the metadata of an issuer with the path "${path}" is at ${first}, or at ${second}`, async (t) => {
    const server = await issuer(t, path)
    server.routes = { [first]: json(server.metadata), [KEYS]: jwks([key]) }
    const { verifier } = await discover(server)
    await verifier.verify(server.token0)
    assert.deepEqual(server.counts, { [first]: 1, [KEYS]: 1 })

    server.counts = {}
    server.routes = { [second]: json(server.metadata), [KEYS]: jwks([key]) }
    const other = await discover(server)
    await other.verifier.verify(server.token0)
    other.clock.now += 600
    await other.verifier.verify(server.token0)
    // The second time, the URL that answered comes first.
    assert.deepEqual(server.counts, { [first]: 1, [second]: 2, [KEYS]: 2 })
  })
}

const answersOfTheWrongUrl = {
  'status 404': status(404),
  'status 500': status(500),
  'HTML': status(200, { 'content-type': 'text/html' }, '<!doctype html>'),
  'a redirect': status(302, { location: '/login' }),
  'a closed connection': (response) => response.destroy(),
  'the metadata of another issuer': json({ issuer: 'https://other.example', jwks_uri: 'https://other.example/keys' }),
  'a JSON array': json([]),
  'null': json(null),
}
for (const [name, answer] of Object.entries(answersOfTheWrongUrl)) {
  test(`after ${name} at the first URL, the second one is asked`, async (t) => {
    const server = await issuer(t)
    server.routes = { [OAUTH]: answer, [OPENID]: json(server.metadata), [KEYS]: jwks([key]) }
    const { verifier } = await discover(server)
    await Promise.all([verifier.verify(server.token0), verifier.verify(server.token0)])
    assert.deepEqual(server.counts, { [OAUTH]: 1, [OPENID]: 1, [KEYS]: 1 })
  })

  test(`${name} at both URLs is refused, with the cause of each`, async (t) => {
    const server = await issuer(t)
    server.routes = { [OAUTH]: status(418), [OPENID]: answer, [KEYS]: jwks([key]) }
    const { message } = await refusalOf(server)
    assert.ok(message.includes(`${server.origin}${OAUTH}: HTTP status 418`), message)
    assert.ok(message.includes(`no metadata from ${server.origin}${OPENID}: `), message)
    assert.deepEqual(server.counts, { [OAUTH]: 1, [OPENID]: 1 })
  })
}

test('the refusal of metadata with another issuer shows both', async (t) => {
  const server = await issuer(t)
  server.routes[OAUTH] = json({ ...server.metadata, issuer: `${server.name}/` })
  const { message } = await refusalOf(server)
  assert.ok(message.includes(`"${server.name}/"`) && message.includes(`"${server.name}"`), message)
  assert.doesNotMatch(message, /tenant/)
  for (const found of [undefined, null, 7, [server.name], { toString: 1, valueOf: 1 }, 'x'.repeat(10_000), 'a\nb']) {
    server.routes[OAUTH] = json({ ...server.metadata, issuer: found })
    await refusalOf(server)
  }
  assert.equal(server.counts[KEYS], undefined)
})

test('metadata for many tenants is refused with the option to set', async (t) => {
  const server = await issuer(t, '/common/v2.0')
  const metadata = json({ ...server.metadata, issuer: `${server.origin}/{tenantid}/v2.0` })
  server.routes = { [`/common/v2.0${OPENID}`]: metadata, [KEYS]: jwks([key]) }
  const { message } = await refusalOf(server)
  assert.match(message, /\/\{tenantid\}\/v2\.0", but the option issuer is ".*\/common\/v2\.0"; .*such as \{tid\}, and give jwks$/)
})

for (const [name, jwksUri, expected] of [
  ['missing', undefined, /jwks_uri is missing/],
  ['no text', { href: 'https://auth.example/' }, /jwks_uri is missing/],
  ['relative', '/keys.json', /jwks_uri is no absolute URL/],
  ['http', 'http://auth.example/keys.json', /jwks_uri is a URL with http:; expected https:/],
  ['no web address', 'file:///etc/keys.json', /jwks_uri is a URL with file:/],
  ['an address with a password', 'https://a:secret@auth.example/keys.json', /jwks_uri has a user name/],
]) {
  test(`a jwks_uri that is ${name} is refused`, async (t) => {
    const server = await issuer(t)
    server.routes[OAUTH] = json({ ...server.metadata, jwks_uri: jwksUri })
    const fetch = (url, request) => (url.startsWith(server.origin) ? globalThis.fetch(url, request) : assert.fail(url))
    const { message } = await refusalOf(server, { fetch })
    assert.match(message, expected)
    assert.ok(!message.includes('secret'))
  })
}

test('an https issuer cannot name a key set on http, even on a loopback host', async () => {
  const asked = []
  const fetch = async (url) => {
    asked.push(url)
    return Response.json({ issuer: ISSUER, jwks_uri: 'http://127.0.0.1:9/keys.json' })
  }
  const verifier = await createVerifier({ issuer: ISSUER, audience: AUDIENCE, fetch, now: () => NOW })
  await assert.rejects(verifier.verify(makeToken(key)), { code: 'jwks_unavailable', message: /jwks_uri is a URL with http:/ })
  assert.deepEqual(asked, [`${ISSUER}${OAUTH}`, `${ISSUER}${OPENID}`])
})

test('metadata of 10 MiB is refused, and its connection is closed', async (t) => {
  const server = await issuer(t)
  const closed = []
  const huge = (response) => {
    closed.push(once(response, 'close', { signal: AbortSignal.timeout(5000) }))
    json({ ...server.metadata, more: 'x'.repeat(10 * 1024 * 1024) })(response)
  }
  server.routes = { [OAUTH]: huge, [OPENID]: huge, [KEYS]: jwks([key]) }
  const { message } = await refusalOf(server)
  assert.match(message, /more than 1 MiB/)
  assert.equal((await Promise.all(closed)).length, 2)
})

test('a server that does not answer is asked once, until the timeout', async (t) => {
  const server = await issuer(t)
  server.routes = { [OAUTH]: () => {} }
  const { message } = await refusalOf(server, { jwksOptions: { timeoutMs: 100 } })
  assert.match(message, /no complete response within 100 ms/)
  assert.deepEqual(server.counts, { [OAUTH]: 1 })
})

test('a failing issuer is asked again after the backoff only', async (t) => {
  const server = await issuer(t)
  server.routes = {}
  const { verifier, clock } = await discover(server)
  for (let i = 0; i < 10; i++) await assert.rejects(verifier.verify(server.token0), { code: 'jwks_unavailable' })
  assert.deepEqual(server.counts, { [OAUTH]: 1, [OPENID]: 1 })
  server.routes = { [OPENID]: json(server.metadata), [KEYS]: jwks([key]) }
  clock.now += 1.25
  await verifier.verify(server.token0)
  assert.deepEqual(server.counts, { [OAUTH]: 2, [OPENID]: 2, [KEYS]: 1 })
})

test('metadata is fetched again with the keys after 80 % of its lifetime, with its entity tag', async (t) => {
  const server = await issuer(t)
  server.routes[OAUTH] = (response, request) => {
    if (request.headers['if-none-match'] === '"one"') response.writeHead(304).end()
    else json(server.metadata, { etag: '"one"', 'cache-control': 'max-age=1000' })(response)
  }
  server.routes[KEYS] = jwks([key], { 'cache-control': 'max-age=100' })
  const { verifier, clock } = await discover(server)
  const countsAt = async (seconds) => {
    clock.now = NOW + seconds
    await verifier.verify(server.token0)
    return [server.counts[OAUTH], server.counts[KEYS]]
  }
  assert.deepEqual(await countsAt(0), [1, 1])
  assert.deepEqual(await countsAt(100), [1, 2])
  assert.deepEqual(await countsAt(799), [1, 3])
  assert.deepEqual(await countsAt(900), [2, 4])
  assert.deepEqual(await countsAt(1000), [2, 5])
  assert.deepEqual(server.headers.filter(([path]) => path === OAUTH).map(([, headers]) => headers['if-none-match']), [undefined, '"one"'])
})

test('a key set that moved is found, and the entity tag of the old one is not sent', async (t) => {
  const server = await issuer(t)
  server.routes[KEYS] = jwks([key], { etag: '"one"' })
  const { verifier, clock } = await discover(server)
  await verifier.verify(server.token0)
  server.routes[OAUTH] = json({ ...server.metadata, jwks_uri: `${server.origin}/moved` })
  server.routes['/moved'] = jwks([next], { etag: '"two"' })
  clock.now += 600
  await assert.rejects(verifier.verify(server.token0), { code: 'key_not_found' })
  await verifier.verify(server.token(next))
  assert.deepEqual(server.counts, { [OAUTH]: 2, [KEYS]: 1, '/moved': 1 })
  assert.equal(server.headers.at(-1)[1]['if-none-match'], undefined)
})

test('after a failure of the key set, the metadata is fetched again before its time', async (t) => {
  const server = await issuer(t)
  server.routes[OAUTH] = json(server.metadata, { 'cache-control': 'max-age=86400' })
  const { verifier, clock } = await discover(server)
  await verifier.verify(server.token0)
  server.routes[OAUTH] = json({ ...server.metadata, jwks_uri: `${server.origin}/moved` })
  server.routes['/moved'] = jwks([next])
  server.routes[KEYS] = status(410)
  await assert.rejects(verifier.refresh(), { code: 'jwks_unavailable', message: /HTTP status 410/ })
  verifier.verifySync(server.token0)
  clock.now += 1.25
  await verifier.refresh()
  verifier.verifySync(server.token(next))
  assert.deepEqual(server.counts, { [OAUTH]: 2, [KEYS]: 2, '/moved': 1 })
})

test('while the metadata fails, the keys are still renewed, until the metadata is too old', async (t) => {
  const server = await issuer(t)
  const heard = []
  const { verifier, clock } = await discover(server, { jwksOptions: { staleIfError: 3600, onError: ({ message }) => heard.push(message) } })
  await verifier.verify(server.token0)
  delete server.routes[OAUTH]
  server.routes[KEYS] = jwks([next])
  clock.now = NOW + 4199
  await verifier.verify(server.token(next))
  assert.equal(heard.length, 1)
  assert.match(heard[0], /no metadata/)
  clock.now = NOW + 4200
  await assert.rejects(verifier.refresh(), { code: 'jwks_unavailable', message: /no metadata/ })
  verifier.verifySync(server.token(next))
})

test('metadata and keys are stored, and a cold start in an outage reads both', async (t) => {
  const server = await issuer(t)
  const map = new Map()
  const store = { get: async (name) => map.get(name), put: async (name, value) => map.set(name, value) }
  const first = await discover(server, { jwksOptions: { store } })
  await first.verifier.refresh()
  assert.deepEqual([...map.keys()].sort(), [
    `${server.origin}${OAUTH}?countersign=jwks`,
    `${server.origin}${KEYS}?countersign=jwks`,
  ])
  server.routes = {}
  server.counts = {}
  const second = await discover(server, { jwksOptions: { store } })
  await second.verifier.verify(server.token0)
  assert.deepEqual(server.counts, {})
  second.clock.now += 700
  await second.verifier.verify(server.token0)
  assert.deepEqual(server.counts, { [OAUTH]: 1, [OPENID]: 1, [KEYS]: 1 })
})

test('stored metadata of another issuer is ignored', async (t) => {
  const server = await issuer(t)
  for (const text of ['[]', '7', '{', JSON.stringify({ issuer: 'https://other.example', jwks_uri: 'https://other.example/keys' })]) {
    const store = { get: async () => JSON.stringify({ text, at: NOW, ttl: 600 }), put: async () => {} }
    const { verifier } = await discover(server, { jwksOptions: { store } })
    await verifier.verify(server.token0)
  }
})

test('in Workers concurrent cold verifications share the fetches without sharing promises', async (t) => {
  const before = Object.getOwnPropertyDescriptor(globalThis, 'navigator')
  Object.defineProperty(globalThis, 'navigator', { value: { userAgent: 'Cloudflare-Workers' }, configurable: true })
  t.after(() => Object.defineProperty(globalThis, 'navigator', before ?? { value: undefined, configurable: true }))
  const server = await issuer(t)
  const { verifier } = await discover(server)
  await Promise.all(Array.from({ length: 20 }, () => verifier.verify(server.token0)))
  assert.deepEqual(server.counts, { [OAUTH]: 1, [KEYS]: 1 })
})

test('metadata is renewed in the background with the keys', async (t) => {
  const server = await issuer(t)
  const { verifier, clock } = await discover(server)
  await verifier.verify(server.token0)
  clock.now += 540
  for (let i = 0; i < 10; i++) await verifier.verify(server.token0)
  await eventually(() => server.counts[KEYS] === 2)
  assert.deepEqual(server.counts, { [OAUTH]: 2, [KEYS]: 2 })
})

for (const [name, issuer, expected] of [
  ['several issuers', ['https://a.example', 'https://b.example'], /one of several; give jwks, or an array of options, with one for each issuer$/],
  ['the name of a claim in the issuer', 'https://login.example/{tid}/v2.0', /the name of a claim/],
  ['an issuer that is no URL', 'accounts.example', /no absolute URL/],
  ['an http issuer', 'http://auth.example', /a URL with http:/],
  ['an issuer with a query', 'https://auth.example/?tenant=1', /a query/],
  ['an issuer with a fragment', 'https://auth.example/#1', /fragment/],
]) {
  test(`with ${name}, jwks must be given`, async () => {
    await assert.rejects(createVerifier({ issuer, audience: AUDIENCE }), { code: 'options_invalid', reason: 'jwks', message: expected })
  })
}

test('one issuer in an array is discovered', async (t) => {
  const server = await issuer(t)
  const { verifier } = await discover(server, { issuer: [server.name] })
  await verifier.verify(server.token0)
})
