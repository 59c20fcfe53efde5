import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { test } from 'node:test'
import { createVerifier } from 'countersign'
import { claims, makeKey, makeToken, NOW, options } from './package-tokens.js'

const key = makeKey('k1')
const next = makeKey('k2')
const token = makeToken(key)

/** A key set endpoint that counts its requests; `answer` may be replaced at any time. */
async function endpoint(t, answer = jwks([key])) {
  const state = { answer, requests: 0, url: '', headers: [] }
  const server = createServer((request, response) => {
    state.requests++
    state.headers.push(request.headers)
    state.answer(response, request)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  state.url = `http://127.0.0.1:${server.address().port}/jwks.json`
  state.close = () => new Promise((resolve) => {
    server.close(resolve)
    server.closeAllConnections()
  })
  t.after(state.close)
  return state
}

/** Answers a key set, as public JWKs. */
function jwks(keys, headers = {}) {
  return (response) => {
    response.writeHead(200, { 'content-type': 'application/jwk-set+json', ...headers })
    response.end(JSON.stringify({ keys: keys.map(({ jwk }) => jwk) }))
  }
}

function status(code, headers = {}, body = '') {
  return (response) => void response.writeHead(code, headers).end(body)
}

/** A verifier of a URL whose clock the test moves. */
async function remote(url, changes = {}) {
  const clock = { now: NOW }
  const verifier = await createVerifier(options([], { jwks: url, now: () => clock.now, ...changes }))
  return { verifier, clock }
}

test('fifty cold verifications share one fetch', async (t) => {
  const server = await endpoint(t)
  const { verifier } = await remote(server.url)
  assert.equal(server.requests, 0)
  await Promise.all(Array.from({ length: 50 }, () => verifier.verify(token)))
  await verifier.verify(token)
  assert.equal(server.requests, 1)
  assert.match(server.headers[0].accept, /application\/jwk-set\+json/)
})

test('what no key can save causes no fetch', async (t) => {
  const server = await endpoint(t)
  const { verifier } = await remote(server.url)
  const garbage = [undefined, '', 'garbage', 'a.b.c', 'x'.repeat(20_000), makeToken(key, '[]'), makeToken(key, claims(), { alg: 'none' }), makeToken(key, claims(), { typ: 'JWT' })]
  for (const one of garbage) await assert.rejects(verifier.verify(one), { name: 'VerifyError' })
  assert.equal(server.requests, 0)
})

test('verifySync and keys never fetch, and say that no keys are loaded', async (t) => {
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

test('refresh fetches at each call, and calls at once share the fetch', async (t) => {
  const server = await endpoint(t)
  const { verifier } = await remote(server.url)
  await Promise.all([verifier.refresh(), verifier.refresh(), verifier.verify(token)])
  assert.equal(server.requests, 1)
  await verifier.refresh()
  assert.equal(server.requests, 2)
})

test('an unknown kid is asked for once each cooldown, and a rotation is seen', async (t) => {
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

test('a cold verification of an unknown kid fetches once', async (t) => {
  const server = await endpoint(t)
  const { verifier } = await remote(server.url)
  await assert.rejects(verifier.verify(makeToken(next)), { code: 'key_not_found' })
  assert.equal(server.requests, 1)
})

test('a key that left the set stops verifying with the fetch that shows it', async (t) => {
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
  test(`a set answered with ${JSON.stringify({ ...headers, ...jwksOptions })} is fresh for ${ttl} s`, async (t) => {
    const server = await endpoint(t, jwks([key], headers))
    const { verifier, clock } = await remote(server.url, { jwksOptions })
    const forever = makeToken(key, claims({ exp: NOW + 1e6 }))
    await verifier.verify(forever)
    clock.now = NOW + ttl - 0.1
    await verifier.verify(forever)
    assert.equal(server.requests, 1)
    clock.now = NOW + ttl
    await verifier.verify(forever)
    assert.equal(server.requests, 2)
  })
}

test('a clock that is set back does not keep a set in use', async (t) => {
  const server = await endpoint(t)
  const { verifier, clock } = await remote(server.url)
  await verifier.verify(token)
  clock.now -= 60
  await verifier.verify(makeToken(key, claims({ iat: NOW - 60 })))
  assert.equal(server.requests, 2)
})

test('while a set cannot be renewed the one in use serves, and the endpoint is asked once each cooldown', async (t) => {
  const server = await endpoint(t)
  const { verifier, clock } = await remote(server.url)
  await verifier.verify(token)
  server.answer = status(500)
  clock.now += 600
  for (let i = 0; i < 5; i++) await verifier.verify(token)
  assert.equal(server.requests, 2)
  clock.now += 10
  await verifier.verify(token)
  assert.equal(server.requests, 3)
  await assert.rejects(verifier.refresh(), { code: 'jwks_unavailable' })
  server.answer = jwks([])
  await verifier.refresh()
  assert.throws(() => verifier.verifySync(token), { code: 'key_not_found' })
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
  { name: 'nothing', answer: status(200), message: /not JSON \(no content type\)/ },
  { name: 'no answer', answer: () => {}, message: /within 200 ms/ },
  { name: 'a body that does not end', answer: drip, message: /within 200 ms/ },
  { name: 'a body without bounds', answer: flood, message: /more than 256 KiB/ },
  { name: 'a connection cut short', answer: (response) => response.destroy(), message: /network request failed \(\w+\)/ },
  { name: 'JSON that is no key set', answer: status(200, {}, '{"issuer":"x"}'), code: 'jwks_invalid' },
  { name: 'a set of too many keys', answer: jwks(Array(65).fill(key)), code: 'jwks_invalid' },
]
for (const { name, answer, message = /./, code = 'jwks_unavailable' } of failures) {
  test(`${name} leaves a verifier without keys, with the cause named`, async (t) => {
    const server = await endpoint(t, answer)
    const { verifier } = await remote(`${server.url}?apikey=hidden#part`, { jwksOptions: { timeoutMs: 200 } })
    const refusal = await verifier.verify(token).then(() => assert.fail('accepted'), (error) => error)
    assert.equal(refusal.code, code)
    assert.equal(refusal.retryable, code === 'jwks_unavailable')
    assert.match(refusal.message, message)
    if (code === 'jwks_unavailable') assert.ok(refusal.message.includes(server.url))
    assert.ok(!refusal.message.includes('hidden'))
    assert.throws(() => verifier.keys(), { code: 'jwks_unavailable' })

    server.answer = jwks([key])
    await verifier.verify(token)
    assert.equal(server.requests, 2)

    server.answer = answer
    await assert.rejects(verifier.refresh(), { code })
    verifier.verifySync(token)
  })
}

for (const { name, answer } of [{ name: 'an unanswered request', answer: () => {} }, { name: 'a body without bounds', answer: flood }]) {
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

test('a redirect is refused and nothing is sent where it leads', async (t) => {
  const elsewhere = await endpoint(t)
  const server = await endpoint(t, (response) => status(302, { location: elsewhere.url })(response))
  const { verifier } = await remote(server.url)
  await assert.rejects(verifier.verify(token), { code: 'jwks_unavailable', message: /redirect/ })
  assert.deepEqual([server.requests, elsewhere.requests], [1, 0])
})

test('a host that does not answer is named with the system\'s code', async (t) => {
  const server = await endpoint(t)
  await server.close()
  const { verifier } = await remote(server.url)
  const refusal = await verifier.verify(token).then(() => assert.fail('accepted'), (error) => error)
  assert.equal(refusal.code, 'jwks_unavailable')
  assert.match(refusal.message, /ECONNREFUSED/)
  assert.ok(refusal.cause instanceof TypeError)
})

test('a fetch of the caller\'s is used, and timed out even if it ignores the signal', async () => {
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
