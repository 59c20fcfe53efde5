// The second tier of key sets: `jwksOptions.store`.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { endpoint, jwks, key, lasting, next, remote, status, token } from './package-endpoint.js'
import { makeKey, makeToken, NOW } from './package-tokens.js'

const forever = lasting(key)

/** A store that notes what is done with it. */
class MapStore {
  map = new Map()
  gets = 0
  puts = 0

  async get(key) {
    this.gets++
    return this.map.get(key)
  }

  async put(key, value) {
    this.puts++
    this.map.set(key, value)
  }
}

/** A store that has what a verifier of this endpoint has put there at `NOW`. */
async function filled(server) {
  const store = new MapStore()
  const { verifier } = await remote(server.url, { jwksOptions: { store } })
  await verifier.refresh()
  return store
}

test('a set that was fetched is stored under a URL of its own, and a new verifier takes it from there', async (t) => {
  const server = await endpoint(t)
  const store = await filled(server)
  assert.deepEqual([...store.map.keys()], [`${server.url}?countersign=jwks`])
  const { verifier } = await remote(server.url, { jwksOptions: { store } })
  await Promise.all([verifier.verify(token), verifier.verify(token), verifier.verify(token)])
  verifier.verifySync(token)
  assert.deepEqual(verifier.keys(), { keys: [key.jwk] })
  assert.deepEqual([server.requests, store.gets, store.puts], [1, 1, 1])
})

test('each URL has a key, which keeps its query', async () => {
  const keys = []
  const fetch = async () => Response.json({ keys: [] })
  const store = { get: async () => null, put: async (key) => keys.push(key) }
  for (const url of ['https://a.example', 'https://a.example/jwks?tenant=1', 'https://a.example/jwks?tenant=2#part']) {
    const { verifier } = await remote(url, { fetch, jwksOptions: { store } })
    await verifier.refresh()
  }
  assert.deepEqual(keys, [
    'https://a.example/?countersign=jwks',
    'https://a.example/jwks?tenant=1&countersign=jwks',
    'https://a.example/jwks?tenant=2&countersign=jwks',
  ])
})

test('a stored set is as old as it was, is renewed in its time, and with its entity tag', async (t) => {
  const server = await endpoint(t, jwks([key], { etag: '"one"', 'cache-control': 'max-age=100' }))
  const store = await filled(server)
  const { verifier, clock } = await remote(server.url, { jwksOptions: { store } })
  clock.now = NOW + 79
  await verifier.verify(token)
  assert.equal(server.requests, 1)
  server.answer = (response) => response.writeHead(304, { 'cache-control': 'max-age=100' }).end()
  clock.now = NOW + 100
  await verifier.verify(token)
  assert.deepEqual(server.headers.map((headers) => headers['if-none-match']), [undefined, '"one"'])
  assert.equal(store.puts, 2)
  clock.now = NOW + 179
  await verifier.verify(token)
  assert.equal(server.requests, 2)
})

test('a stored set past its time is not used where the endpoint has another', async (t) => {
  const server = await endpoint(t)
  const store = await filled(server)
  server.answer = jwks([next])
  const { verifier, clock } = await remote(server.url, { jwksOptions: { store } })
  clock.now = NOW + 600
  await assert.rejects(verifier.verify(forever), { code: 'key_not_found' })
  assert.equal(server.requests, 2)
})

test('a stored set that lacks the key is followed by a fetch', async (t) => {
  const server = await endpoint(t)
  const store = await filled(server)
  server.answer = jwks([key, next])
  const { verifier } = await remote(server.url, { jwksOptions: { store } })
  await verifier.verify(makeToken(next))
  assert.equal(server.requests, 2)
  await assert.rejects(verifier.verify(makeToken(makeKey('k3'))), { code: 'key_not_found' })
  assert.equal(server.requests, 2)
})

test('while the endpoint is down a stored set serves until it is too old', async (t) => {
  const server = await endpoint(t)
  const store = await filled(server)
  server.answer = status(500)
  const old = await remote(server.url, { jwksOptions: { store } })
  old.clock.now = NOW + 600 + 86_400 - 1
  await old.verifier.verify(forever)
  const older = await remote(server.url, { jwksOptions: { store } })
  older.clock.now = NOW + 600 + 86_400
  await assert.rejects(older.verifier.verify(forever), { code: 'jwks_unavailable', message: /HTTP status 500/ })
})

test('refresh asks the endpoint whatever the store has, and ends when the store has the answer', async (t) => {
  const server = await endpoint(t)
  const store = await filled(server)
  server.answer = jwks([next])
  const { verifier } = await remote(server.url, { jwksOptions: { store } })
  let written = false
  store.put = () => new Promise((resolve) => setTimeout(() => resolve((written = true)), 30))
  await Promise.all([verifier.verify(token).catch(() => {}), verifier.refresh()])
  assert.deepEqual(verifier.keys(), { keys: [next.jwk] })
  assert.equal(server.requests, 2)
  assert.ok(written)
})

test('nothing is read for a token that no key can save, nor while keys are loaded', async (t) => {
  const server = await endpoint(t)
  const store = new MapStore()
  const { verifier, clock } = await remote(server.url, { jwksOptions: { store } })
  await assert.rejects(verifier.verify('garbage'), { code: 'token_malformed' })
  assert.equal(store.gets, 0)
  await verifier.verify(forever)
  clock.now = NOW + 600
  await verifier.verify(forever)
  await verifier.refresh()
  assert.deepEqual([server.requests, store.gets, store.puts], [3, 1, 3])
})

const never = () => new Promise(() => {})
const stores = {
  'gets and puts fail': { get: async () => { throw new Error('down') }, put: async () => { throw new Error('down') } },
  'get and put throw': { get: () => { throw new Error('down') }, put: () => { throw new Error('down') } },
  'gets and puts do not end': { get: never, put: never },
  'has nothing': { get: async () => null, put: async () => {} },
  'answers without promises': { get: () => undefined, put: () => {} },
}
for (const [what, store] of Object.entries(stores)) {
  test(`a store that ${what} is done without`, async (t) => {
    const unhandled = t.mock.fn()
    process.on('unhandledRejection', unhandled)
    t.after(() => process.off('unhandledRejection', unhandled))
    const server = await endpoint(t)
    const { verifier } = await remote(server.url, { jwksOptions: { store, timeoutMs: 200 } })
    const start = performance.now()
    await verifier.verify(token)
    assert.ok(performance.now() - start < 400)
    await verifier.refresh()
    assert.equal(server.requests, 2)
    await new Promise((resolve) => setTimeout(resolve, 20))
    assert.equal(unhandled.mock.callCount(), 0)
  })
}

const good = { text: JSON.stringify({ keys: [key.jwk] }), at: NOW, ttl: 600 }
const bad = {
  'no text': 7,
  'no JSON': '{',
  'no object': 'null',
  'a set that is no text': JSON.stringify({ ...good, text: { keys: [key.jwk] } }),
  'a text that is no JSON': JSON.stringify({ ...good, text: 'keys' }),
  'a text that is no JWK Set': JSON.stringify({ ...good, text: '{"keys":7}' }),
  'too many keys': JSON.stringify({ ...good, text: JSON.stringify({ keys: Array(65).fill(key.jwk) }) }),
  'a text that is too long': JSON.stringify({ ...good, text: good.text + ' '.repeat(256 * 1024) }),
  'a value that is too long': JSON.stringify(good) + ' '.repeat(512 * 1024),
  'a time to come': JSON.stringify({ ...good, at: NOW + 1 }),
  'a time too long ago': JSON.stringify({ ...good, at: NOW - 87_000 }),
  'a time too long ago, for its lifetime is too long': JSON.stringify({ ...good, at: NOW - 172_800, ttl: 1e9 }),
  'no time': JSON.stringify({ ...good, at: undefined }),
  'a time in words': JSON.stringify({ ...good, at: String(NOW) }),
  'no lifetime': JSON.stringify({ ...good, ttl: undefined }),
  'a lifetime in words': JSON.stringify({ ...good, ttl: 'long' }),
}
for (const [what, value] of Object.entries(bad)) {
  test(`a stored ${what} is ignored`, async (t) => {
    const server = await endpoint(t, status(500))
    const store = { get: async () => value, put: async () => {} }
    const { verifier, clock } = await remote(server.url, { jwksOptions: { store } })
    await assert.rejects(verifier.verify(token), { code: 'jwks_unavailable', message: /HTTP status 500/ })
    server.answer = jwks([key])
    clock.now += 1.25
    await verifier.verify(token)
  })
}

test('the good value that those are made from is used, and what else it holds is not', async (t) => {
  const server = await endpoint(t, status(500))
  for (const etag of [undefined, 7, 'one', '"one"\r\nx: y']) {
    const store = { get: async () => JSON.stringify({ ...good, etag, more: 1 }), put: async () => {} }
    const { verifier } = await remote(server.url, { jwksOptions: { store } })
    await verifier.verify(token)
    await assert.rejects(verifier.refresh(), { message: /HTTP status 500/ })
  }
  assert.deepEqual(server.headers.map((headers) => headers['if-none-match']), Array(4).fill(undefined))
})

test('a lifetime out of a store is held within minTtl and maxTtl', async (t) => {
  const server = await endpoint(t, status(500))
  for (const { ttl, jwksOptions, end } of [{ ttl: 0, end: 30 }, { ttl: 600, jwksOptions: { maxTtl: 100 }, end: 100 }]) {
    const store = { get: async () => JSON.stringify({ ...good, ttl }), put: async () => {} }
    const { verifier, clock } = await remote(server.url, { jwksOptions: { ...jwksOptions, store, staleIfError: 0 } })
    await verifier.verify(token)
    clock.now = NOW + end - 0.1
    verifier.verifySync(token)
    clock.now = NOW + end
    assert.throws(() => verifier.verifySync(token), { code: 'jwks_unavailable' })
  }
})

test('with a dead endpoint an empty store is read no more often than the endpoint is asked', async (t) => {
  const server = await endpoint(t, status(500))
  const store = new MapStore()
  const { verifier, clock } = await remote(server.url, { jwksOptions: { store } })
  for (let i = 0; i < 10; i++) await assert.rejects(verifier.verify(token), { code: 'jwks_unavailable' })
  assert.deepEqual([server.requests, store.gets], [1, 1])
  store.map.set(`${server.url}?countersign=jwks`, JSON.stringify(good))
  clock.now += 1.25
  await verifier.verify(token)
  assert.deepEqual([server.requests, store.gets], [1, 2])
})
