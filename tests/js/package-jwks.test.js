import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { endpoint, eventually, jwks, key, lasting, next, remote, status, token } from './package-endpoint.js'
import { claims, makeKey, makeToken, NOW } from './package-tokens.js'

test('fifty cold verifications share one fetch', async (t) => {
  const server = await endpoint(t)
  const { verifier } = await remote(server.url)
  assert.equal(server.requests, 0)
  await Promise.all(Array.from({ length: 50 }, () => verifier.verify(token)))
  await verifier.verify(token)
  assert.equal(server.requests, 1)
  assert.match(server.headers[0].accept, /application\/jwk-set\+json/)
})

test('a token that no key can save causes no fetch', async (t) => {
  const server = await endpoint(t)
  const { verifier } = await remote(server.url)
  const garbage = [undefined, '', 'garbage', 'a.b.c', 'x'.repeat(20_000), makeToken(key, '[]'), makeToken(key, claims(), { alg: 'none' }), makeToken(key, claims(), { typ: 'JWT' })]
  for (const one of garbage) await assert.rejects(verifier.verify(one), { name: 'VerifyError' })
  assert.equal(server.requests, 0)
})

test('verifySync and keys never fetch, and refuse without keys', async (t) => {
  const server = await endpoint(t)
  const { verifier } = await remote(server.url)
  const unavailable = { code: 'jwks_unavailable', stage: 'key', retryable: true, wwwAuthenticate: 'Bearer' }
  assert.throws(() => verifier.verifySync(token), unavailable)
  assert.throws(() => verifier.keys(), unavailable)
  assert.equal(server.requests, 0)
  await verifier.refresh()
  verifier.verifySync(token)
  assert.deepEqual(verifier.keys(), { keys: [key.jwk] })
  assert.ok(Object.isFrozen(verifier.keys().keys[0]))
  assert.equal(server.requests, 1)
})

test('refresh fetches at each call, and concurrent calls share the fetch', async (t) => {
  const server = await endpoint(t)
  const { verifier } = await remote(server.url)
  await Promise.all([verifier.refresh(), verifier.refresh(), verifier.verify(token)])
  assert.equal(server.requests, 1)
  await verifier.refresh()
  assert.equal(server.requests, 2)
})

test('unknown kids cause one fetch each cooldown, which brings a rotated key', async (t) => {
  const server = await endpoint(t)
  const { verifier, clock } = await remote(server.url)
  await verifier.verify(token)
  const unknown = makeToken(next)
  await Promise.all(Array.from({ length: 20 }, () => assert.rejects(verifier.verify(unknown), { code: 'key_not_found' })))
  await assert.rejects(verifier.verify(makeToken(makeKey('k3'))), { code: 'key_not_found' })
  assert.equal(server.requests, 2)

  server.answer = jwks([key, next])
  clock.now += 9.9
  await assert.rejects(verifier.verify(unknown), { code: 'key_not_found' })
  assert.equal(server.requests, 2)
  clock.now += 0.1
  await verifier.verify(unknown)
  await verifier.verify(token)
  assert.equal(server.requests, 3)
})

test('the first tokens of a rotation share one fetch', async (t) => {
  const server = await endpoint(t)
  const { verifier } = await remote(server.url)
  await verifier.verify(token)
  server.answer = jwks([key, next])
  await Promise.all(Array.from({ length: 20 }, () => verifier.verify(makeToken(next))))
  assert.equal(server.requests, 2)
})

test('after two fetches without a kid, there is none for it in the next 30 s, but one for another kid', async (t) => {
  const server = await endpoint(t)
  const { verifier, clock } = await remote(server.url, { jwksOptions: { cooldown: 2 } })
  await verifier.verify(token)
  const gone = makeToken(makeKey('gone'))
  const requestsAfter = async (seconds, token) => {
    clock.now += seconds
    await assert.rejects(verifier.verify(token), { code: 'key_not_found' })
    return server.requests
  }
  assert.equal(await requestsAfter(0, gone), 2)
  assert.equal(await requestsAfter(2, gone), 3)
  for (let i = 0; i < 9; i++) assert.equal(await requestsAfter(3, gone), 3)
  assert.equal(await requestsAfter(0, makeToken(next)), 4)
  assert.equal(await requestsAfter(3, gone), 5)
  assert.equal(await requestsAfter(29.9, gone), 5)
  assert.equal(await requestsAfter(0.1, gone), 6)
})

test('tokens of removed kids do not delay the kid of a rotation', async (t) => {
  const server = await endpoint(t)
  const { verifier, clock } = await remote(server.url)
  await verifier.verify(token)
  const gone = makeToken(makeKey('gone'))
  for (const seconds of [0, 10, 10]) {
    clock.now += seconds
    await assert.rejects(verifier.verify(gone), { code: 'key_not_found' })
  }
  server.answer = jwks([next])
  await verifier.verify(makeToken(next))
  assert.equal(server.requests, 4)
})

test('a changed set and a failure empty the negative cache', async (t) => {
  const server = await endpoint(t)
  const { verifier, clock } = await remote(server.url)
  await verifier.verify(token)
  const unknown = makeToken(makeKey('k3'))
  const miss = async (seconds) => {
    clock.now += seconds
    await assert.rejects(verifier.verify(unknown), { code: 'key_not_found' })
  }
  await miss(0)
  await miss(10)
  assert.equal(server.requests, 3)
  server.answer = jwks([key, next])
  await verifier.refresh()
  await miss(10)
  await miss(10)
  assert.equal(server.requests, 6)
  server.answer = status(500)
  await assert.rejects(verifier.refresh(), { code: 'jwks_unavailable' })
  await miss(10)
  assert.equal(server.requests, 8)
})

test('each of two hundred unknown kids causes a fetch, after a cooldown', async (t) => {
  let requests = 0
  const fetch = async () => {
    requests++
    return Response.json({ keys: [key.jwk] })
  }
  const { verifier, clock } = await remote('https://auth.example/', { fetch, jwksOptions: { cooldown: 1 } })
  await verifier.verify(lasting(key))
  const [, payload, signature] = token.split('.')
  for (let i = 1; i <= 200; i++) {
    const header = Buffer.from(JSON.stringify({ alg: 'RS256', typ: 'at+jwt', kid: `random-${i}` })).toString('base64url')
    clock.now += 1
    await assert.rejects(verifier.verify(`${header}.${payload}.${signature}`), { code: 'key_not_found' })
    assert.equal(requests, 1 + i)
  }
})

test('a cold verification of an unknown kid fetches once', async (t) => {
  const server = await endpoint(t)
  const { verifier } = await remote(server.url)
  await assert.rejects(verifier.verify(makeToken(next)), { code: 'key_not_found' })
  assert.equal(server.requests, 1)
})

test('a key that is missing from a fetched set stops verifying', async (t) => {
  const server = await endpoint(t, jwks([key, next]))
  const { verifier } = await remote(server.url)
  await verifier.verify(token)
  server.answer = jwks([next])
  await verifier.refresh()
  assert.throws(() => verifier.verifySync(token), { code: 'key_not_found' })
})

const lifetimes = [
  { headers: {}, ttl: 600 },
  { headers: { 'cache-control': 'public, max-age=300' }, ttl: 300 },
  { headers: { 'cache-control': 'Max-Age="300"' }, ttl: 300 },
  { headers: { 'cache-control': 'public, max-age=300', age: '100' }, ttl: 200 },
  { headers: { 'cache-control': 'max-age=300', age: 'old' }, ttl: 300 },
  { headers: { 'cache-control': 'max-age=300', age: '4000' }, ttl: 30 },
  { headers: { 'cache-control': 'max-age=1' }, ttl: 30 },
  { headers: { 'cache-control': 'no-store' }, ttl: 30 },
  { headers: { 'cache-control': 's-maxage=5' }, ttl: 600 },
  { headers: { 'cache-control': 'max-age=31536000' }, ttl: 86_400 },
  { headers: { 'cache-control': 'max-age=1' }, jwksOptions: { minTtl: 5 }, ttl: 5 },
  { headers: { 'cache-control': 'max-age=300' }, jwksOptions: { maxTtl: 100 }, ttl: 100 },
]
for (const { headers, jwksOptions, ttl } of lifetimes) {
  test(`with ${JSON.stringify({ ...headers, ...jwksOptions })} the lifetime of a set is ${ttl} s`, async (t) => {
    const server = await endpoint(t, jwks([key], headers))
    const { verifier, clock } = await remote(server.url, { jwksOptions })
    const forever = lasting(key)
    await verifier.verify(forever)
    // The delay tells a background fetch from the one after the lifetime, for which the verdict waits.
    server.answer = (response) => setTimeout(jwks([next], headers), 50, response)
    clock.now = NOW + ttl - 0.01
    await verifier.verify(forever)
    await eventually(() => server.requests === 2)
    await verifier.refresh()
    assert.equal(server.requests, 2)
    assert.throws(() => verifier.verifySync(forever), { code: 'key_not_found' })

    const late = await remote(server.url, { jwksOptions })
    server.answer = jwks([key], headers)
    await late.verifier.verify(forever)
    server.answer = jwks([next], headers)
    late.clock.now = NOW + ttl
    await assert.rejects(late.verifier.verify(forever), { code: 'key_not_found' })
    assert.equal(server.requests, 4)
  })
}

test('after 90 % of its lifetime a set is still used, and one fetch renews it in the background', async (t) => {
  const server = await endpoint(t, jwks([key], { 'cache-control': 'max-age=100' }))
  const { verifier, clock } = await remote(server.url)
  await verifier.verify(token)
  clock.now = NOW + 79.9
  await verifier.verify(token)
  assert.equal(server.requests, 1)

  let answer
  server.answer = (response) => {
    answer = () => jwks([next], { 'cache-control': 'max-age=100' })(response)
  }
  clock.now = NOW + 90
  for (let i = 0; i < 10; i++) await verifier.verify(token)
  await eventually(() => answer)
  await verifier.verify(token)
  answer()
  await eventually(() => verifier.keys().keys[0].kid === 'k2')
  assert.throws(() => verifier.verifySync(token), { code: 'key_not_found' })
  assert.equal(server.requests, 2)
})

test('verifiers that fetched together renew apart, after 80 to 90 % of the lifetime', async () => {
  let requests = 0
  const fetch = async () => {
    requests++
    return Response.json({ keys: [key.jwk] }, { headers: { 'cache-control': 'max-age=100' } })
  }
  const verifiers = await Promise.all(Array.from({ length: 50 }, () => remote('https://auth.example/', { fetch })))
  const requestsAfter = async (seconds) => {
    for (const { verifier, clock } of verifiers) {
      clock.now = NOW + seconds
      await verifier.verify(token)
    }
    return requests
  }
  assert.equal(await requestsAfter(0), 50)
  assert.equal(await requestsAfter(79.9), 50)
  const halfway = await requestsAfter(85)
  assert.ok(halfway > 50 && halfway < 100, `${halfway} fetches`)
  assert.equal(await requestsAfter(90), 100)
})

test('a failed background renewal is not reported', async (t) => {
  const server = await endpoint(t)
  const { verifier, clock } = await remote(server.url)
  const unhandled = t.mock.fn()
  process.on('unhandledRejection', unhandled)
  t.after(() => process.off('unhandledRejection', unhandled))
  const forever = lasting(key)
  await verifier.verify(forever)
  for (const answer of [status(500), (response) => response.destroy(), jwks(Array(1001).fill(key))]) {
    server.answer = answer
    const { requests } = server
    clock.now += 540
    await verifier.verify(forever)
    await eventually(() => server.requests > requests)
    server.answer = jwks([key])
    await new Promise((resolve) => setTimeout(resolve, 20))
    await verifier.refresh()
  }
  assert.equal(unhandled.mock.callCount(), 0)
})

/** Answers 304 to a request with this entity tag. */
function tagged(keys, etag, headers = {}, unchanged = headers) {
  return (response, request) => {
    if (request.headers['if-none-match'] === etag) response.writeHead(304, unchanged).end()
    else jwks(keys, { etag, ...headers })(response)
  }
}

test('a request sends the entity tag of the set, and 304 renews the lifetime', async (t) => {
  const server = await endpoint(t, tagged([key], '"one"', { 'cache-control': 'max-age=100' }))
  const { verifier, clock } = await remote(server.url)
  await verifier.verify(token)
  clock.now = NOW + 100
  await verifier.verify(token)
  clock.now = NOW + 179.9
  await verifier.verify(token)
  assert.deepEqual(server.headers.map((headers) => headers['if-none-match']), [undefined, '"one"'])
  assert.deepEqual(verifier.keys(), { keys: [key.jwk] })

  server.answer = tagged([next], 'W/"two"')
  await verifier.refresh()
  assert.throws(() => verifier.verifySync(token), { code: 'key_not_found' })
  await verifier.refresh()
  assert.deepEqual(server.headers.map((headers) => headers['if-none-match']).slice(2), ['"one"', 'W/"two"'])
})

test('a 304 without a lifetime repeats the former one, and a 304 with one sets it', async (t) => {
  const server = await endpoint(t, tagged([key], '"one"', { 'cache-control': 'max-age=100' }, {}))
  const { verifier, clock } = await remote(server.url)
  const forever = lasting(key)
  await verifier.verify(forever)
  clock.now = NOW + 100
  await verifier.verify(forever)
  clock.now = NOW + 200
  await verifier.verify(forever)
  assert.equal(server.requests, 3)
  server.answer = tagged([key], '"one"', {}, { 'cache-control': 'max-age=1000', age: '500' })
  clock.now = NOW + 300
  await verifier.verify(forever)
  clock.now = NOW + 300 + 399
  await verifier.verify(forever)
  assert.equal(server.requests, 4)
})

test('without a valid entity tag none is sent, and 304 is refused', async (t) => {
  for (const headers of [{}, { etag: 'one' }, { etag: `"${'1'.repeat(300)}"` }]) {
    const server = await endpoint(t, jwks([key], headers))
    const { verifier } = await remote(server.url)
    await verifier.verify(token)
    await verifier.refresh()
    server.answer = status(304)
    await assert.rejects(verifier.refresh(), { code: 'jwks_unavailable' })
    assert.deepEqual(server.headers.map((headers) => headers['if-none-match']), [undefined, undefined, undefined])
    verifier.verifySync(token)
  }
})

test('a refresh after the clock was set back replaces the set', async (t) => {
  const server = await endpoint(t)
  const { verifier, clock } = await remote(server.url)
  await verifier.verify(token)
  clock.now -= 60
  server.answer = jwks([next])
  await verifier.refresh()
  assert.throws(() => verifier.verifySync(token), { code: 'key_not_found' })
})

test('a set is renewed after the clock was set back', async (t) => {
  const server = await endpoint(t)
  const { verifier, clock } = await remote(server.url)
  await verifier.verify(token)
  clock.now -= 60
  await verifier.verify(makeToken(key, claims({ iat: NOW - 60 })))
  assert.equal(server.requests, 2)
})

const drip = (response) => {
  response.writeHead(200, { 'content-type': 'application/json' })
  response.write('{"keys":')
}
const flood = (response) => {
  response.writeHead(200, { 'content-type': 'application/json' })
  const chunk = ' '.repeat(64 * 1024)
  const more = () => {
    while (!response.destroyed && response.write(chunk));
  }
  response.on('drain', more)
  more()
}
const failures = [
  { name: 'HTTP 500', answer: status(500), message: /HTTP status 500/ },
  { name: 'HTTP 404', answer: status(404), message: /HTTP status 404/ },
  { name: 'HTTP 204', answer: status(204), message: /HTTP status 204/ },
  { name: 'an HTML page', answer: status(200, { 'content-type': 'text/html; charset=utf-8' }, '<!doctype html>'), message: /not JSON \(text\/html\)/ },
  { name: 'an empty body', answer: status(200), message: /not JSON \(no content type\)/ },
  { name: 'no response', answer: () => {}, message: /within 200 ms/ },
  { name: 'an unfinished body', answer: drip, message: /within 200 ms/ },
  { name: 'an endless body', answer: flood, message: /more than 1 MiB/ },
  { name: 'a closed connection', answer: (response) => response.destroy(), message: /network request failed \(\w+\)/ },
  { name: 'JSON that is no JWK Set', answer: status(200, {}, '{"issuer":"x"}'), code: 'jwks_invalid' },
  { name: 'a set with too many keys', answer: jwks(Array(1001).fill(key)), code: 'jwks_invalid' },
]
for (const { name, answer, message = /./, code = 'jwks_unavailable' } of failures) {
  test(`${name} is refused with its cause, and the keys in use stay`, async (t) => {
    const server = await endpoint(t, answer)
    const { verifier, clock } = await remote(`${server.url}?apikey=hidden#part`, { jwksOptions: { timeoutMs: 200 } })
    const refusal = await verifier.verify(token).then(() => assert.fail('accepted'), (error) => error)
    assert.equal(refusal.code, code)
    assert.equal(refusal.retryable, code === 'jwks_unavailable')
    assert.match(refusal.message, message)
    if (code === 'jwks_unavailable') assert.ok(refusal.message.includes(server.url))
    assert.ok(!refusal.message.includes('hidden'))
    assert.throws(() => verifier.keys(), { code: 'jwks_unavailable' })

    server.answer = jwks([key])
    clock.now += 1.25
    await verifier.verify(token)
    assert.equal(server.requests, 2)

    server.answer = answer
    await assert.rejects(verifier.refresh(), { code })
    verifier.verifySync(token)
  })
}

for (const { name, answer } of [{ name: 'an unanswered request', answer: () => {} }, { name: 'an endless body', answer: flood }]) {
  test(`the connection of ${name} is closed`, async (t) => {
    const sockets = []
    const server = await endpoint(t, (response) => {
      sockets.push(once(response, 'close', { signal: AbortSignal.timeout(5000) }))
      answer(response)
    })
    const { verifier } = await remote(server.url, { jwksOptions: { timeoutMs: 200 } })
    await assert.rejects(verifier.verify(token), { code: 'jwks_unavailable' })
    assert.equal((await Promise.all(sockets)).length, 1)
  })
}

for (const { location, shown } of [
  { location: '/moved?apikey=hidden', shown: (origin) => ` to ${origin}/moved; give the final URL` },
  { location: 'https://login.example/start?state=hidden#part', shown: () => ' to https://login.example/start; give' },
  { location: 'https://', shown: () => 'a redirect; give the final URL' },
  { location: undefined, shown: () => 'a redirect; give the final URL' },
]) {
  test(`a redirect to ${location} is refused and not followed`, async (t) => {
    const server = await endpoint(t, (response) => status(302, location === undefined ? {} : { location })(response))
    const { verifier } = await remote(server.url)
    const refusal = await verifier.verify(token).then(() => assert.fail('accepted'), (error) => error)
    assert.equal(refusal.code, 'jwks_unavailable')
    assert.ok(refusal.message.includes(shown(new URL(server.url).origin)), refusal.message)
    assert.ok(!refusal.message.includes('hidden'))
    assert.equal(server.requests, 1)
  })
}

/** Returns a response whose body never ends, and the reason for which it was cancelled. */
function endless(status) {
  const state = { cancelled: false }
  const body = new ReadableStream({ cancel: () => void (state.cancelled = true) })
  return { state, response: new Response(body, { status }) }
}

test('a body is cancelled, even if the option fetch ignores the signal', async () => {
  for (const { status, late } of [{ status: 200 }, { status: 500 }, { status: 200, late: true }]) {
    const { state, response } = endless(status)
    const fetch = async () => {
      if (late) await new Promise((resolve) => setTimeout(resolve, 60))
      return response
    }
    const { verifier } = await remote('https://auth.example/', { fetch, jwksOptions: { timeoutMs: 30 } })
    await assert.rejects(verifier.verify(token), { code: 'jwks_unavailable' })
    await eventually(() => state.cancelled)
  }
})

test('without AbortController and without streams, a key set is fetched', async (t) => {
  const { AbortController } = globalThis
  delete globalThis.AbortController
  t.after(() => {
    globalThis.AbortController = AbortController
  })
  const response = { status: 200, headers: new Headers(), text: async () => JSON.stringify({ keys: [key.jwk] }) }
  const { verifier } = await remote('https://auth.example/', { fetch: async (_, { signal }) => (signal === undefined ? response : assert.fail()) })
  await verifier.verify(token)
})

test('a response without a stream is read as a whole', async () => {
  const text = JSON.stringify({ keys: [key.jwk] })
  for (const [body, message] of [[text], [text + ' '.repeat(1024 * 1024), /more than 1 MiB/]]) {
    const response = { status: 200, headers: new Headers(), text: async () => body }
    const { verifier } = await remote('https://auth.example/', { fetch: async () => response })
    if (message === undefined) await verifier.verify(token)
    else await assert.rejects(verifier.verify(token), { code: 'jwks_unavailable', message })
  }
})

test('a byte order mark before the set is skipped', async (t) => {
  const server = await endpoint(t, status(200, {}, `\ufeff${JSON.stringify({ keys: [key.jwk] })}`))
  const { verifier } = await remote(server.url)
  await verifier.verify(token)
})

test('in browsers the error for a network failure names CORS', async (t) => {
  const before = Object.getOwnPropertyDescriptor(globalThis, 'navigator')
  Object.defineProperty(globalThis, 'navigator', { value: { userAgent: 'Mozilla/5.0 Firefox/140.0' }, configurable: true })
  t.after(() => Object.defineProperty(globalThis, 'navigator', before ?? { value: undefined, configurable: true }))
  const { verifier } = await remote('https://auth.example/', { fetch: async () => { throw new TypeError('Failed to fetch') } })
  await assert.rejects(verifier.verify(token), { code: 'jwks_unavailable', message: /CORS.*Access-Control-Allow-Origin/ })
})

test('the error for a host that does not answer has the system\'s code', async (t) => {
  const server = await endpoint(t)
  await server.close()
  const { verifier } = await remote(server.url)
  const refusal = await verifier.verify(token).then(() => assert.fail('accepted'), (error) => error)
  assert.equal(refusal.code, 'jwks_unavailable')
  assert.match(refusal.message, /ECONNREFUSED/)
  assert.ok(refusal.cause instanceof TypeError)
})

test('the option fetch is used, and times out even if it ignores the signal', async () => {
  const calls = []
  const url = 'https://auth.example/jwks?tenant=1'
  const fetch = async (...call) => {
    calls.push(call)
    return Response.json({ keys: [key.jwk] })
  }
  const { verifier } = await remote(url, { fetch })
  await verifier.verify(token)
  assert.equal(calls.length, 1)
  assert.equal(calls[0][0], url)

  const deaf = await remote(url, { fetch: () => new Promise(() => {}), jwksOptions: { timeoutMs: 50 } })
  await assert.rejects(deaf.verifier.verify(token), { code: 'jwks_unavailable', message: /50 ms/ })
  const broken = await remote(url, { fetch: () => { throw new Error('secret detail') } })
  await assert.rejects(broken.verifier.verify(token), ({ code, message }) => code === 'jwks_unavailable' && !message.includes('secret'))
})
