// Verification while the key set endpoint is down, and in runtimes with special rules.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { endpoint, eventually, jwks, key, lasting, next, remote, status, token } from './package-endpoint.js'
import { makeToken, NOW } from './package-tokens.js'

const forever = lasting(key)
const DAY = 86_400

test('in an outage the keys stay in use for exactly a day after their lifetime', async (t) => {
  const server = await endpoint(t)
  const { verifier, clock } = await remote(server.url)
  await verifier.verify(forever)
  server.answer = status(503)
  clock.now = NOW + 600 + DAY - 0.1
  await verifier.verify(forever)
  verifier.verifySync(forever)
  assert.deepEqual(verifier.keys(), { keys: [key.jwk] })
  assert.equal(server.requests, 2)

  clock.now = NOW + 600 + DAY
  assert.throws(() => verifier.keys(), { code: 'jwks_unavailable' })
  assert.throws(() => verifier.verifySync(forever), { code: 'jwks_unavailable', message: /no key set is loaded/ })
  await assert.rejects(verifier.verify(forever), { code: 'jwks_unavailable', message: /HTTP status 503/ })
  assert.equal(server.requests, 2)
  clock.now += 2
  await assert.rejects(verifier.verify(forever), { code: 'jwks_unavailable', message: /HTTP status 503/ })
  assert.equal(server.requests, 3)
  server.answer = jwks([key])
  clock.now += 5
  await verifier.verify(forever)
  verifier.verifySync(forever)
})

test('keys that are too old end cached verdicts, and the order of refusals stays', async (t) => {
  const server = await endpoint(t)
  const { verifier, clock } = await remote(server.url, { cache: 10, jwksOptions: { staleIfError: 60 } })
  await verifier.verify(forever)
  clock.now = NOW + 1
  assert.equal(verifier.verifySync(forever), verifier.verifySync(forever))
  clock.now = NOW + 660
  assert.throws(() => verifier.verifySync(forever), { code: 'jwks_unavailable' })
  assert.throws(() => verifier.verifySync('a.b.c'), { code: 'token_malformed' })
  assert.throws(() => verifier.verifySync(makeToken(key, '{}', { typ: 'JWT' })), { code: 'type_mismatch' })
  assert.equal(server.requests, 1)
})

for (const { staleIfError, ends } of [{ staleIfError: 0, ends: 600 }, { staleIfError: 100, ends: 700 }, { staleIfError: 7 * DAY, ends: 600 + 7 * DAY }]) {
  test(`with staleIfError ${staleIfError} the keys end after ${ends} s of outage`, async (t) => {
    const server = await endpoint(t)
    const { verifier, clock } = await remote(server.url, { jwksOptions: { staleIfError } })
    await verifier.verify(forever)
    server.answer = status(500)
    clock.now = NOW + ends - 0.1
    await verifier.verify(forever)
    clock.now = NOW + ends + 2
    await assert.rejects(verifier.verify(forever), { code: 'jwks_unavailable' })
    assert.throws(() => verifier.verifySync(forever), { code: 'jwks_unavailable' })
  })
}

test('after the clock was set back, the lifetime of the keys is over, but staleIfError begins anew', async (t) => {
  const server = await endpoint(t)
  const { verifier, clock } = await remote(server.url, { clockTolerance: 300 })
  await verifier.verify(forever)
  server.answer = status(500)
  clock.now = NOW - 60
  await verifier.verify(forever)
  assert.equal(server.requests, 2)
  clock.now = NOW - 60 + DAY - 0.1
  verifier.verifySync(forever)
  clock.now = NOW - 60 + DAY
  assert.throws(() => verifier.verifySync(forever), { code: 'jwks_unavailable' })
})

/** Returns the seconds between the fetches of a verifier that is called ten times a second. */
async function pauses(server, { verifier, clock }, count, settle) {
  const found = []
  let start = clock.now
  let { requests } = server
  for (let tenths = 1; found.length < count; tenths++) {
    clock.now = start + tenths / 10
    await settle(verifier)
    if (server.requests === requests) continue
    assert.equal(server.requests, ++requests)
    found.push(tenths / 10)
    start = clock.now
    tenths = 0
  }
  return found
}

const refused = (verifier) => assert.rejects(verifier.verify(forever), { code: 'jwks_unavailable', message: /HTTP status 500/ })

for (const { random, expected } of [
  { random: 0, expected: [1, 2, 4, 8, 16, 32, 60, 60] },
  { random: 0.9999, expected: [1.3, 2.5, 5, 10, 20, 40, 60, 60] },
]) {
  test(`without keys a failing endpoint is retried after ${expected} s`, async (t) => {
    t.mock.method(Math, 'random', () => random)
    const server = await endpoint(t, status(500))
    const it = await remote(server.url)
    await refused(it.verifier)
    assert.deepEqual(await pauses(server, it, expected.length, refused), expected)
  })
}

test('with stale keys the backoff is the same, and a success resets it', async (t) => {
  t.mock.method(Math, 'random', () => 0)
  const server = { requests: 0, down: false }
  const fetch = async () => {
    server.requests++
    return Response.json({ keys: [key.jwk] }, { status: server.down ? 500 : 200 })
  }
  const it = await remote('https://auth.example/', { fetch })
  const served = async (verifier) => {
    await verifier.verify(forever)
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
  await served(it.verifier)
  for (let outage = 0; outage < 2; outage++) {
    server.down = true
    it.clock.now += 600
    await served(it.verifier)
    assert.deepEqual(await pauses(server, it, 4, served), [1, 2, 4, 8])
    server.down = false
    assert.deepEqual(await pauses(server, it, 1, served), [16])
    const { requests } = server
    await served(it.verifier)
    assert.equal(server.requests, requests)
  }
})

test('with stale keys a call does not wait soon after a failure, and waits two minutes later', async (t) => {
  const server = await endpoint(t)
  const { verifier, clock } = await remote(server.url)
  await verifier.verify(forever)
  server.answer = status(500)
  clock.now = NOW + 600
  await verifier.verify(forever)

  let answer
  server.answer = (response) => (answer = () => jwks([next])(response))
  clock.now += 2
  for (let i = 0; i < 5; i++) await verifier.verify(forever)
  await eventually(() => answer)
  await verifier.verify(forever)
  assert.equal(server.requests, 3)
  answer()
  await eventually(() => verifier.keys().keys[0].kid === 'k2')

  const later = await remote(server.url)
  server.answer = jwks([key])
  await later.verifier.verify(forever)
  server.answer = status(500)
  later.clock.now = NOW + 600
  await later.verifier.verify(forever)
  server.answer = jwks([next])
  later.clock.now += 120
  await assert.rejects(later.verifier.verify(forever), { code: 'key_not_found' })
})

test('without keys a call during the backoff fails at once, with the last cause', async (t) => {
  const server = await endpoint(t, status(500))
  const { verifier, clock } = await remote(server.url)
  const refusals = await Promise.allSettled(Array.from({ length: 20 }, () => verifier.verify(token)))
  assert.ok(refusals.every(({ reason }) => reason.code === 'jwks_unavailable'))
  server.answer = status(404)
  await assert.rejects(verifier.verify(token), { code: 'jwks_unavailable', stage: 'key', retryable: true, message: /HTTP status 500/ })
  await assert.rejects(verifier.verify('garbage'), { code: 'token_malformed' })
  assert.equal(server.requests, 1)
  clock.now -= 3600
  await assert.rejects(verifier.verify(token), { code: 'jwks_unavailable', message: /HTTP status 404/ })
  await assert.rejects(verifier.refresh(), { code: 'jwks_unavailable' })
  assert.equal(server.requests, 3)
})

test('while the endpoint fails, a set past its lifetime cannot tell that a key does not exist', async (t) => {
  const server = await endpoint(t)
  const { verifier, clock } = await remote(server.url)
  await verifier.verify(forever)
  server.answer = status(500)
  const unknown = makeToken(next)
  for (const [second, code] of [[599, 'key_not_found'], [600, 'jwks_unavailable'], [601, 'jwks_unavailable']]) {
    clock.now = NOW + second
    await assert.rejects(verifier.verify(unknown), { code, retryable: code === 'jwks_unavailable' })
    await verifier.verify(forever)
  }
  server.answer = jwks([key])
  clock.now += 120
  await assert.rejects(verifier.verify(unknown), { code: 'key_not_found' })
})

test('an unknown kid does not shorten the backoff', async (t) => {
  t.mock.method(Math, 'random', () => 0)
  const server = await endpoint(t)
  const { verifier, clock } = await remote(server.url, { jwksOptions: { cooldown: 1 } })
  await verifier.verify(token)
  server.answer = status(500)
  const asked = []
  for (let second = 0; second <= 20; second++) {
    const { requests } = server
    await assert.rejects(verifier.verify(makeToken(next)), { code: 'key_not_found' })
    if (server.requests > requests) asked.push(second)
    clock.now++
  }
  assert.deepEqual(asked, [0, 1, 3, 7, 15])
})

test('the backoff applies to background renewals', async (t) => {
  t.mock.method(Math, 'random', () => 0)
  const server = await endpoint(t)
  const { verifier, clock } = await remote(server.url)
  await verifier.verify(token)
  server.answer = status(500)
  clock.now = NOW + 540
  await verifier.verify(token)
  await eventually(() => server.requests === 2)
  await new Promise((resolve) => setTimeout(resolve, 50))
  clock.now += 0.9
  await verifier.verify(token)
  await new Promise((resolve) => setTimeout(resolve, 50))
  assert.equal(server.requests, 2)
  clock.now += 0.1
  await verifier.verify(token)
  await eventually(() => server.requests === 3)
})

const unusable = {
  'an empty set': [],
  'a set without an RSA key for signatures': [{ jwk: { kty: 'EC', crv: 'P-256', x: 'AA', y: 'AA' } }, { jwk: { ...key.jwk, use: 'enc' } }],
}
for (const [name, keys] of Object.entries(unusable)) {
  test(`${name} counts as a failure, and the old keys go out of use, in the store too`, async (t) => {
    t.mock.method(Math, 'random', () => 0)
    const map = new Map()
    const store = { get: async (name) => map.get(name), put: async (name, value) => map.set(name, value) }
    const server = await endpoint(t)
    const it = await remote(server.url, { jwksOptions: { store } })
    const { verifier, clock } = it
    await verifier.verify(forever)
    server.answer = jwks(keys)
    clock.now += 600
    const refusal = { code: 'jwks_unavailable', retryable: true, message: keys.length === 0 ? /the set is empty/ : /none of its 2 keys is usable/ }
    await assert.rejects(verifier.verify(forever), refusal)
    assert.throws(() => verifier.verifySync(forever), { code: 'jwks_unavailable' })
    assert.throws(() => verifier.keys(), { code: 'jwks_unavailable' })
    assert.deepEqual(await pauses(server, it, 4, (verifier) => assert.rejects(verifier.verify(forever), refusal)), [1, 2, 4, 8])
    const other = await remote(server.url, { jwksOptions: { store } })
    other.clock.now = clock.now
    await assert.rejects(other.verifier.verify(forever), refusal)

    server.answer = jwks([key])
    clock.now += 60
    await verifier.verify(forever)
    verifier.verifySync(forever)
  })
}

test('a background renewal that brings an empty set ends the old keys', async (t) => {
  const server = await endpoint(t)
  const { verifier, clock } = await remote(server.url)
  await verifier.verify(forever)
  server.answer = jwks([])
  clock.now += 540
  await verifier.verify(forever)
  await eventually(() => {
    try {
      verifier.verifySync(forever)
    } catch ({ code }) {
      return code === 'jwks_unavailable'
    }
  })
})

test('onError hears of each failed fetch, in the background too, and what it throws is ignored', async (t) => {
  const unhandled = t.mock.fn()
  process.on('unhandledRejection', unhandled)
  t.after(() => process.off('unhandledRejection', unhandled))
  const server = await endpoint(t)
  const heard = []
  const functions = [
    (error) => void heard.push(error),
    (error) => {
      heard.push(error)
      throw new Error('mine')
    },
    async (error) => {
      heard.push(error)
      throw new Error('mine')
    },
  ]
  for (const onError of functions) {
    server.answer = jwks([key])
    heard.length = 0
    const { verifier, clock } = await remote(server.url, { jwksOptions: { onError } })
    await verifier.verify(forever)
    assert.equal(heard.length, 0)
    server.answer = status(503)
    clock.now += 540
    await verifier.verify(forever)
    await eventually(() => heard.length === 1)
    assert.deepEqual([heard[0].code, heard[0].name], ['jwks_unavailable', 'VerifyError'])
    assert.match(heard[0].message, /HTTP status 503/)
    for (let i = 0; i < 5; i++) await verifier.verify(forever)
    assert.equal(heard.length, 1)
    server.answer = status(200, {}, '{"keys":7}')
    await assert.rejects(verifier.refresh(), { code: 'jwks_invalid' })
    assert.deepEqual(heard.map(({ code }) => code), ['jwks_unavailable', 'jwks_invalid'])
  }
  await new Promise((resolve) => setTimeout(resolve, 20))
  assert.equal(unhandled.mock.callCount(), 0)
})

/** Pretends to be another runtime. */
function runtime(t, userAgent) {
  const before = Object.getOwnPropertyDescriptor(globalThis, 'navigator')
  Object.defineProperty(globalThis, 'navigator', { value: { userAgent }, configurable: true })
  t.after(() => {
    delete globalThis.navigator
    if (before) Object.defineProperty(globalThis, 'navigator', before)
  })
}

/** Returns a `fetch` for which the test responds: the n-th call is `calls[n]`, with its request and a function `answer`. */
function byHand() {
  const calls = []
  const fetch = (url, request) => new Promise((resolve) => {
    calls.push({ request, answer: (keys, headers) => resolve(Response.json({ keys: keys.map(({ jwk }) => jwk) }, { headers })) })
  })
  const call = async (index) => {
    await eventually(() => calls.length > index)
    return calls[index]
  }
  return { calls, call, fetch }
}

const requests = [
  { name: 'Cloudflare-Workers', cache: undefined, etag: '"one"' },
  { name: 'Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0', cache: 'no-cache', etag: undefined },
  { name: 'Node.js/22', cache: 'no-cache', etag: '"one"' },
]
for (const { name, cache, etag } of requests) {
  test(`a request of ${name} has cache ${cache} and the entity tag ${etag}`, async (t) => {
    runtime(t, name)
    const { calls, call, fetch } = byHand()
    const { verifier } = await remote('https://auth.example/', { fetch })
    for (const index of [0, 1]) {
      const refreshed = verifier.refresh()
      ;(await call(index)).answer([key], { etag: '"one"' })
      await refreshed
    }
    assert.equal(calls[1].request.cache, cache)
    assert.equal('cache' in calls[1].request, cache !== undefined)
    assert.equal(calls[1].request.headers['if-none-match'], etag)
  })
}

test('in Workers a call does not wait for the fetch of an ended request', async (t) => {
  runtime(t, 'Cloudflare-Workers')
  const { calls, call, fetch } = byHand()
  const { verifier } = await remote('https://auth.example/', { fetch, jwksOptions: { timeoutMs: 2000 } })
  verifier.verify(token).catch(() => {})
  const others = Array.from({ length: 10 }, () => verifier.verify(token))
  await call(0)
  await new Promise((resolve) => setTimeout(resolve, 200))
  assert.equal(calls.length, 1)
  await call(1)
  await new Promise((resolve) => setTimeout(resolve, 200))
  assert.equal(calls.length, 2)
  ;(await call(1)).answer([key])
  await Promise.all(others)
  await verifier.verify(token)
  assert.equal(calls.length, 2)
})

test('in Workers concurrent calls share one fetch and its failure', async (t) => {
  runtime(t, 'Cloudflare-Workers')
  const server = await endpoint(t, status(500))
  const { verifier, clock } = await remote(server.url)
  const outcomes = await Promise.allSettled(Array.from({ length: 10 }, () => verifier.verify(token)))
  for (const { reason } of outcomes) assert.match(reason.message, /HTTP status 500/)
  server.answer = jwks([key])
  clock.now += 1.25
  await Promise.all([verifier.refresh(), ...Array.from({ length: 10 }, () => verifier.verify(token))])
  assert.equal(server.requests, 2)
})

test('in Workers no promise of the first request is awaited by the second', async (t) => {
  runtime(t, 'Cloudflare-Workers')
  const { calls, call, fetch } = byHand()
  const { verifier } = await remote('https://auth.example/', { fetch })
  const settled = []
  const first = verifier.verify(token).then(() => settled.push('first'))
  const second = verifier.verify(token).then(() => settled.push('second'))
  ;(await call(0)).answer([key])
  await first
  assert.deepEqual(settled, ['first'])
  await second
  assert.equal(calls.length, 1)
})

test('in Workers a dead background renewal does not block the next one', async (t) => {
  runtime(t, 'Cloudflare-Workers')
  const { calls, call, fetch } = byHand()
  const { verifier, clock } = await remote('https://auth.example/', { fetch, jwksOptions: { timeoutMs: 3000 } })
  const loading = verifier.verify(forever)
  ;(await call(0)).answer([key])
  await loading
  clock.now = NOW + 540
  for (let i = 0; i < 5; i++) await verifier.verify(forever)
  await call(1)
  clock.now += 5.9
  await verifier.verify(forever)
  await new Promise((resolve) => setTimeout(resolve, 1300))
  assert.equal(calls.length, 2)
  clock.now += 0.1
  await verifier.verify(forever)
  await call(2)
  clock.now = NOW + 601
  const renewing = verifier.verify(forever)
  await call(3)
  ;(await call(3)).answer([next])
  await assert.rejects(renewing, { code: 'key_not_found' })
})

test('the response to an older request does not replace newer keys', async (t) => {
  runtime(t, 'Cloudflare-Workers')
  const { calls, call, fetch } = byHand()
  const { verifier, clock } = await remote('https://auth.example/', { fetch })
  const early = verifier.refresh()
  await call(0)
  clock.now += 11
  const late = verifier.refresh()
  ;(await call(1)).answer([next])
  await late
  ;(await call(0)).answer([key])
  await early
  assert.throws(() => verifier.verifySync(token), { code: 'key_not_found' })
})
