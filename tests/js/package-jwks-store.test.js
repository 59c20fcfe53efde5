// The option `jwksOptions.store`.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { endpoint, jwks, key, lasting, next, remote, status, token } from './package-endpoint.js'
import { makeKey, makeToken, NOW } from './package-tokens.js'

const forever = lasting(key)

/** A store that counts its calls. */
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

/** Returns a store with the key set of this endpoint, as stored by a verifier at `NOW`. */
async function filled(server) {
  const store = new MapStore()
  const { verifier } = await remote(server.url, { jwksOptions: { store } })
  await verifier.refresh()
  return store
}

test('a fetched set is stored under a URL, and a new verifier reads it from there', async (t) => {
  const server = await endpoint(t)
  const store = await filled(server)
  assert.deepEqual([...store.map.keys()], [`${server.url}?countersign=jwks`])
  const { verifier } = await remote(server.url, { jwksOptions: { store } })
  await Promise.all([verifier.verify(token), verifier.verify(token), verifier.verify(token)])
  verifier.verifySync(token)
  assert.deepEqual(verifier.keys(), { keys: [key.jwk] })
  assert.deepEqual([server.requests, store.gets, store.puts], [1, 1, 1])
})

test('each URL has a key of its own, with the query', async () => {
  const keys = []
  const fetch = async () => Response.json({ keys: [key.jwk] })
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

test('waitUntil gets a promise that waits for the store too', async () => {
  const promises = []
  let finish
  const put = () => new Promise((resolve) => (finish = resolve))
  const store = { get: async () => null, put }
  const fetch = async () => Response.json({ keys: [key.jwk] })
  const { verifier } = await remote('https://a.example', { fetch, jwksOptions: { store, waitUntil: (promise) => promises.push(promise) } })
  await verifier.verify(token)
  let isOver = false
  const [promise] = promises
  void promise.then(() => (isOver = true))
  await new Promise(setImmediate)
  assert.deepEqual([promises.length, isOver], [1, false])
  finish()
  await promise
})

test('the age of a stored set counts from its fetch, and its renewal sends its entity tag', async (t) => {
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

test('a stored set after its lifetime is not used if the endpoint has another', async (t) => {
  const server = await endpoint(t)
  const store = await filled(server)
  server.answer = jwks([next])
  const { verifier, clock } = await remote(server.url, { jwksOptions: { store } })
  clock.now = NOW + 600
  await assert.rejects(verifier.verify(forever), { code: 'key_not_found' })
  assert.equal(server.requests, 2)
})

test('a stored set without the key causes a fetch', async (t) => {
  const server = await endpoint(t)
  const store = await filled(server)
  server.answer = jwks([key, next])
  const { verifier } = await remote(server.url, { jwksOptions: { store } })
  await verifier.verify(makeToken(next))
  assert.equal(server.requests, 2)
  await assert.rejects(verifier.verify(makeToken(makeKey('k3'))), { code: 'key_not_found' })
  assert.equal(server.requests, 2)
})

test('in an outage a stored set is used until it is too old', async (t) => {
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

test('refresh always fetches, and waits until the store has the set', async (t) => {
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

test('the store is not read for a token that no key can save, nor while keys are loaded', async (t) => {
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
  'rejects': { get: async () => { throw new Error('down') }, put: async () => { throw new Error('down') } },
  'throws': { get: () => { throw new Error('down') }, put: () => { throw new Error('down') } },
  'never settles': { get: never, put: never },
  'is empty': { get: async () => null, put: async () => {} },
  'returns no promises': { get: () => undefined, put: () => {} },
}
for (const [what, store] of Object.entries(stores)) {
  test(`a store that ${what} is ignored`, async (t) => {
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
  'number': 7,
  'invalid JSON': '{',
  'null': 'null',
  'set that is no string': JSON.stringify({ ...good, text: { keys: [key.jwk] } }),
  'text that is no JSON': JSON.stringify({ ...good, text: 'keys' }),
  'text that is no JWK Set': JSON.stringify({ ...good, text: '{"keys":7}' }),
  'set with too many keys': JSON.stringify({ ...good, text: JSON.stringify({ keys: Array(1001).fill(key.jwk) }) }),
  'text that is too long': JSON.stringify({ ...good, text: good.text + ' '.repeat(1024 * 1024) }),
  'value that is too long': JSON.stringify(good) + ' '.repeat(2 * 1024 * 1024),
  'time in the future': JSON.stringify({ ...good, at: NOW + 1 }),
  'time too long ago': JSON.stringify({ ...good, at: NOW - 87_000 }),
  'time too long ago, with too long a lifetime': JSON.stringify({ ...good, at: NOW - 172_800, ttl: 1e9 }),
  'set without a time': JSON.stringify({ ...good, at: undefined }),
  'time as a string': JSON.stringify({ ...good, at: String(NOW) }),
  'set without a lifetime': JSON.stringify({ ...good, ttl: undefined }),
  'lifetime as a string': JSON.stringify({ ...good, ttl: 'long' }),
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

test('a valid stored value is used, without an invalid entity tag and other members', async (t) => {
  const server = await endpoint(t, status(500))
  for (const etag of [undefined, 7, 'one', '"one"\r\nx: y']) {
    const store = { get: async () => JSON.stringify({ ...good, etag, more: 1 }), put: async () => {} }
    const { verifier } = await remote(server.url, { jwksOptions: { store } })
    await verifier.verify(token)
    await assert.rejects(verifier.refresh(), { message: /HTTP status 500/ })
  }
  assert.deepEqual(server.headers.map((headers) => headers['if-none-match']), Array(4).fill(undefined))
})

test('the lifetime of a stored set is brought within minTtl and maxTtl', async (t) => {
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

test('the backoff applies to an empty store', async (t) => {
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
