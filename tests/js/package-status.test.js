// Revocation by status lists, with an endpoint that counts and fails, by a clock of the test.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { deflateSync } from 'node:zlib'
import { createVerifier } from 'countersign'
import { statusList } from 'countersign/status'
import { endpoint, eventually, jwks, key, next, status } from './package-endpoint.js'
import { claims, ISSUER, makeToken, NOW, options } from './package-tokens.js'

const lifetime = { iat: NOW, exp: NOW + 1e6 }

/** Returns a token with this index in the list. */
function tokenAt(idx, uri, changes = {}) {
  return makeToken(key, claims({ ...lifetime, status: { status_list: { idx, uri } }, ...changes }))
}

/** Returns a list of 128 statuses of one bit, with these set. */
function listOf(uri, set = [], changes = {}, signer = key) {
  const bits = new Uint8Array(16)
  for (const idx of set) bits[idx >> 3] |= 1 << (idx & 7)
  const content = { bits: 1, lst: deflateSync(bits).toString('base64url') }
  return makeToken(signer, { iss: ISSUER, sub: uri, ...lifetime, ttl: 60, status_list: content, ...changes }, { typ: 'statuslist+jwt' })
}

function answer(list, headers = {}) {
  return status(200, { 'content-type': 'application/statuslist+jwt', ...headers }, list)
}

/** Starts an endpoint of lists, on another origin than the issuer, and makes a verifier with a clock. Index 3 is revoked. */
async function checked(t, { status: given = {}, ...changes } = {}) {
  const server = await endpoint(t)
  const { origin } = new URL(server.url)
  server.url = `${origin}/status/1`
  server.answer = answer(listOf(server.url, [3]))
  const clock = { now: NOW }
  const make = () => createVerifier(options([key], { status: statusList({ origins: [origin], ...given }), now: () => clock.now, ...changes }))
  return { server, clock, make, verifier: await make(), good: tokenAt(2, server.url), revoked: tokenAt(3, server.url) }
}

function codeOf(verify) {
  return verify().then(() => 'ok', ({ code }) => code)
}

for (const cache of [0, 10]) {
  test(`a token is refused once its bit is set, with cache: ${cache}`, async (t) => {
    const { server, clock, verifier, good, revoked } = await checked(t, { cache })
    const { payload } = await verifier.verify(good)
    const refusal = { name: 'VerifyError', code: 'token_revoked', stage: 'status', retryable: false, message: 'the token was revoked' }
    await assert.rejects(verifier.verify(revoked), refusal)
    assert.deepEqual(verifier.verifySync(good).payload, payload)
    assert.throws(() => verifier.verifySync(revoked), { ...refusal, claims: { ...payload, status: { status_list: { idx: 3, uri: server.url } } } })
    assert.deepEqual([server.requests, server.headers[0].accept], [1, 'application/statuslist+jwt'])

    server.answer = answer(listOf(server.url, [2, 3]))
    clock.now = NOW + 60
    await assert.rejects(verifier.verify(good), refusal)
    assert.throws(() => verifier.verifySync(good), refusal)
    assert.equal(server.requests, 2)
  })
}

test('a list is renewed after 80 to 90 % of its ttl in the background, and calls wait for it after the whole', async (t) => {
  const { server, clock, verifier, good } = await checked(t)
  // The headers of the response do not matter.
  server.answer = answer(listOf(server.url, [3]), { 'cache-control': 'max-age=86400' })
  await verifier.verify(good)
  clock.now = NOW + 47.9
  await verifier.verify(good)
  assert.equal(server.requests, 1)
  server.answer = answer(listOf(server.url, [2]), { 'cache-control': 'no-store' })
  clock.now = NOW + 54
  await verifier.verify(good)
  await eventually(async () => (await codeOf(() => verifier.verify(good))) === 'token_revoked')
  assert.equal(server.requests, 2)

  server.answer = answer(listOf(server.url))
  clock.now = NOW + 54 + 60
  await verifier.verify(good)
  assert.equal(server.requests, 3)
})

test('minTtl and maxTtl bound the ttl less Age, and without ttl the headers count', async (t) => {
  const cases = [
    [{}, { age: '20' }, 40],
    [{}, { age: '59', 'cache-control': 'max-age=86400' }, 30],
    [{ ttl: 400 }, { age: '350' }, 50],
    [{}, { age: '1e300' }, 30],
    [{}, { age: '-100' }, 60],
    [{}, { age: 'old' }, 60],
    [{ ttl: undefined }, { 'cache-control': 'max-age=100', age: '20' }, 80],
    [{ exp: NOW + 35 }, { age: '20' }, 35],
    [{ ttl: 1 }, {}, 30],
    [{ ttl: 1e300 }, {}, 500],
    [{ ttl: undefined }, { 'cache-control': 'max-age=100' }, 100],
    [{ ttl: undefined }, {}, 500],
    [{ exp: NOW + 90 }, {}, 60],
    [{ exp: NOW + 40 }, {}, 40],
  ]
  for (const [changes, headers, seconds] of cases) {
    const { server, clock, verifier, good } = await checked(t, { jwksOptions: { maxTtl: 500 } })
    server.answer = answer(listOf(server.url, [], changes), headers)
    await verifier.verify(good)
    clock.now = NOW + 0.8 * seconds - 0.1
    await verifier.verify(good)
    assert.equal(server.requests, 1)
    clock.now = NOW + seconds
    server.answer = answer(listOf(server.url))
    await verifier.verify(good)
    assert.equal(server.requests, 2, `${seconds} s`)
  }
})

test('a renewal sends the entity tag, and a 304 keeps the list for its ttl', async (t) => {
  const { server, clock, verifier, good, revoked } = await checked(t)
  server.answer = answer(listOf(server.url, [3]), { etag: '"one"' })
  await verifier.verify(good)
  server.answer = status(304, { 'cache-control': 'max-age=5' })
  clock.now = NOW + 60
  await verifier.verify(good)
  assert.equal(await codeOf(() => verifier.verify(revoked)), 'token_revoked')
  clock.now = NOW + 60 + 47
  await verifier.verify(good)
  assert.deepEqual(server.headers.map((headers) => headers['if-none-match']), [undefined, '"one"'])

  server.answer = status(304, { age: '20' })
  clock.now = NOW + 120
  await verifier.verify(good)
  server.answer = answer(listOf(server.url, [2]))
  clock.now = NOW + 120 + 40
  assert.equal(await codeOf(() => verifier.verify(good)), 'token_revoked')
})

test('a hundred calls at once share one fetch', async (t) => {
  const { server, verifier, good, revoked } = await checked(t)
  const codes = await Promise.all(Array.from({ length: 100 }, (_, i) => codeOf(() => verifier.verify(i % 2 === 0 ? good : revoked))))
  assert.deepEqual(new Set(codes.filter((_, i) => i % 2 === 0)), new Set(['ok']))
  assert.deepEqual(new Set(codes.filter((_, i) => i % 2 === 1)), new Set(['token_revoked']))
  assert.equal(server.requests, 1)
})

for (const { maxStale, ends } of [{ ends: 360 }, { maxStale: 0, ends: 60 }, { maxStale: 10, ends: 70 }]) {
  test(`in an outage a list is used for its ttl and maxStale ${maxStale}`, async (t) => {
    const { server, clock, verifier, good, revoked } = await checked(t, { status: { maxStale } })
    await verifier.verify(good)
    server.answer = status(503)
    clock.now = NOW + ends - 0.1
    await verifier.verify(good)
    verifier.verifySync(good)
    assert.equal(await codeOf(() => verifier.verify(revoked)), 'token_revoked')

    clock.now = NOW + ends + 2
    const refusal = { code: 'status_unavailable', stage: 'status', retryable: true, wwwAuthenticate: 'Bearer' }
    await assert.rejects(verifier.verify(good), { ...refusal, message: 'no status list: HTTP status 503; expected 200' })
    assert.throws(() => verifier.verifySync(good), { ...refusal, message: 'no status list is loaded; call verify or refresh first' })
    server.answer = answer(listOf(server.url))
    clock.now += 70
    await verifier.verify(revoked)
    verifier.verifySync(revoked)
  })
}

test('an endpoint that fails is asked with a backoff, and onError learns of each failure with the URL', async (t) => {
  const errors = []
  const { server, clock, verifier, good } = await checked(t, { jwksOptions: { onError: (error) => errors.push(error) } })
  server.answer = status(500)
  for (let calls = 0; calls < 5; calls++) {
    await assert.rejects(verifier.verify(good), ({ code, message, cause, claims }) => {
      assert.deepEqual([code, message, claims.sub], ['status_unavailable', 'no status list: HTTP status 500; expected 200', 'somebody'])
      assert.match(cause.message, /^no status list from http:\/\/127\.0\.0\.1:\d+\/status\/1: HTTP status 500; expected 200$/)
      return true
    })
  }
  assert.equal(server.requests, 1)
  clock.now += 1.3
  await assert.rejects(verifier.verify(good), { code: 'status_unavailable' })
  clock.now += 1.3
  await assert.rejects(verifier.verify(good), { code: 'status_unavailable' })
  assert.deepEqual([server.requests, errors.length], [2, 2])
  for (const { code, message } of errors) assert.match(`${code}: ${message}`, /^status_unavailable: no status list from http:\S+\/status\/1: HTTP status 500/)
})

test('responses that are no list are refused, with the reason', async (t) => {
  const cases = [
    [status(302, { location: '/other' }), /^no status list: the response is a redirect/],
    [status(200, {}, 'x'.repeat(1024 * 1024 + 1)), /^no status list: the response is more than 1 MiB$/],
    [status(200, { 'content-type': 'text/html' }, '<!doctype html>'), /^no status list: it is refused: the token /],
    [(response) => response.destroy(), /^no status list: the network request failed/],
    [() => {}, /^no status list: no complete response within 100 ms$/],
    [answer('e30.e30.e30'), /^no status list: it is refused: the header parameter alg/],
  ]
  for (const [answer, message] of cases) {
    const { server, verifier, good } = await checked(t, { jwksOptions: { timeoutMs: 100 } })
    server.answer = answer
    await assert.rejects(verifier.verify(good), { code: 'status_unavailable', message })
  }
})

test('verifySync never fetches, and refresh fetches the list that it lacked', async (t) => {
  const { server, verifier, good, revoked } = await checked(t)
  assert.throws(() => verifier.verifySync(good), { code: 'status_unavailable', message: /call verify or refresh/ })
  assert.equal(server.requests, 0)
  await verifier.refresh()
  verifier.verifySync(good)
  assert.throws(() => verifier.verifySync(revoked), { code: 'token_revoked' })
  assert.equal(server.requests, 1)
})

test('refresh fetches the lists of the tokens since the last refresh, and keeps others', async (t) => {
  const { server, verifier, good } = await checked(t)
  await verifier.verify(good)
  await verifier.refresh()
  verifier.verifySync(good)
  await verifier.refresh()
  assert.equal(server.requests, 3)
  await verifier.refresh()
  assert.equal(server.requests, 3)
  verifier.verifySync(good)
  server.answer = status(500)
  await assert.rejects(verifier.refresh(), { code: 'status_unavailable', message: /status\/1: HTTP status 500/ })
})

test('refreshes at the same time, or without a token in between, keep the lists for an outage', async (t) => {
  const { server, verifier, good, revoked } = await checked(t)
  await verifier.verify(good)
  await Promise.all([verifier.refresh(), verifier.refresh()])
  await verifier.refresh()
  server.answer = status(503)
  assert.equal(await codeOf(() => verifier.verify(good)), 'ok')
  assert.equal(await codeOf(() => verifier.verify(revoked)), 'token_revoked')
})

test('a list that has expired counts as a failure, even unchanged', async (t) => {
  const { server, clock, verifier, good } = await checked(t)
  server.answer = answer(listOf(server.url, [], { exp: NOW + 50 }), { etag: '"one"' })
  await verifier.verify(good)
  server.answer = status(304)
  clock.now = NOW + 49.9
  await verifier.verify(good)
  clock.now = NOW + 50
  await assert.rejects(verifier.verify(good), { code: 'status_unavailable', message: /expired/ })
  assert.throws(() => verifier.verifySync(good), { code: 'status_unavailable' })
  server.answer = answer(listOf(server.url))
  clock.now = NOW + 60
  await verifier.verify(good)
})

test('a list that is signed by a new key makes the verifier fetch the keys', async (t) => {
  const keys = await endpoint(t)
  const { server, clock, verifier, good } = await checked(t, { jwks: keys.url })
  await verifier.verify(good)
  server.answer = answer(listOf(server.url, [2], {}, next))
  clock.now = NOW + 60
  await verifier.verify(good)
  assert.equal(keys.requests, 2)
  keys.answer = jwks([key, next])
  clock.now = NOW + 70
  await eventually(async () => (await codeOf(() => verifier.verify(good))) === 'token_revoked')
  assert.deepEqual([keys.requests, server.requests], [3, 3])
})

test('statuses besides 0 are refused unless they are named', async (t) => {
  const content = { bits: 8, lst: deflateSync(Uint8Array.of(0, 1, 2, 3, 255)).toString('base64url') }
  for (const [accepted, expected] of [[undefined, [0]], [[], [0]], [[2], [0, 2]], [[3, 255], [0, 3, 255]]]) {
    const { server, verifier } = await checked(t, { status: { accepted } })
    server.answer = answer(listOf(server.url, [], { status_list: content }))
    for (const [idx, value] of [0, 1, 2, 3, 255].entries()) {
      const code = await codeOf(() => verifier.verify(tokenAt(idx, server.url)))
      assert.equal(code, expected.includes(value) ? 'ok' : 'token_revoked', `${accepted}: ${value}`)
    }
    if (accepted === undefined) await assert.rejects(verifier.verify(tokenAt(2, server.url)), { message: /status 2; expected 0/ })
  }
})

test('a token without a list passes, unless one is required', async (t) => {
  const [one, two] = [await checked(t), await checked(t, { status: { required: true } })]
  const token = makeToken(key)
  await one.verifier.verify(token)
  one.verifier.verifySync(token)
  const refusal = { code: 'claim_missing', claim: 'status', stage: 'claims', claims: claims() }
  await assert.rejects(two.verifier.verify(token), refusal)
  assert.throws(() => two.verifier.verifySync(token), refusal)
})

test('a list may be at the origin of the issuer, of the key set, or of the option origins', async () => {
  const requested = []
  const fetch = async (url) => {
    requested.push(url)
    return url.endsWith('/jwks') ? Response.json({ keys: [key.jwk] }) : new Response(listOf(url))
  }
  const make = (changes, origins) => createVerifier(options([], { fetch, status: statusList({ origins }), ...changes }))
  const verifiers = [
    [await make({ jwks: 'https://keys.example/jwks' }, ['https://status.example', 'https://status.example:8443']), ['auth', 'keys', 'status']],
    [await make({ jwks: 'https://auth.example/jwks' }), ['auth']],
    [await make({ jwks: { keys: [key.jwk] }, issuer: [ISSUER, 'https://other.example', 'urn:issuer'] }), ['auth', 'other']],
  ]
  for (const [verifier, allowed] of verifiers) {
    for (const name of ['auth', 'keys', 'status', 'other']) {
      const code = await codeOf(() => verifier.verify(tokenAt(1, `https://${name}.example/list`)))
      assert.equal(code, allowed.includes(name) ? 'ok' : 'claim_invalid', name)
    }
    await assert.rejects(verifier.verify(tokenAt(1, 'https://evil.example/list')), {
      code: 'claim_invalid', claim: 'status', message: /names a list of another origin: expected one at https:\/\/auth\.example.*origins/,
    })
    const http = `http://${allowed[0]}.example/list`
    assert.equal(await codeOf(() => verifier.verify(tokenAt(1, http))), 'claim_invalid')
  }
  assert.ok(requested.every((url) => !url.includes('evil') && !url.startsWith('http:')), requested)
})

test('a list of one issuer says nothing about the tokens of another', async (t) => {
  const issuer = [ISSUER, 'https://other.example']
  const { server, verifier, good } = await checked(t, { issuer })
  await verifier.verify(good)
  const other = tokenAt(2, server.url, { iss: 'https://other.example' })
  await assert.rejects(verifier.verify(other), { code: 'status_unavailable', message: /another iss/ })
  await verifier.verify(good)
})

test('each of several policies looks at its own lists', async (t) => {
  const { server, good, revoked } = await checked(t)
  const check = statusList({ origins: [new URL(server.url).origin] })
  const now = () => NOW
  const policies = [options([key], { now, status: check }), options([key], { now, issuer: 'https://other.example' })]
  const verifier = await createVerifier(policies)
  await verifier.verify(good)
  assert.equal(await codeOf(() => verifier.verify(revoked)), 'token_revoked')
  assert.throws(() => verifier.verifySync(revoked), { code: 'token_revoked' })
  verifier.verifySync(tokenAt(3, server.url, { iss: 'https://other.example' }))
})

test('an earlier fault is reported, and no list is fetched for it', async (t) => {
  const { server, verifier, revoked } = await checked(t)
  const bad = [
    [`${revoked.slice(0, -8)}AAAAAAAA`, 'signature_invalid'],
    [tokenAt(3, server.url, { exp: NOW }), 'token_expired'],
    [tokenAt(3, server.url, { aud: 'other' }), 'audience_mismatch'],
    ['a.b', 'token_malformed'],
  ]
  for (const [token, code] of bad) assert.equal(await codeOf(() => verifier.verify(token)), code)
  assert.equal(server.requests, 0)
})

test('the lists together take at most 64 MiB, and the one that was not used for the longest time is dropped', async () => {
  let size = 2 * 1024 * 1024
  const requested = []
  const fetch = async (url) => {
    requested.push(Number(url.slice(`${ISSUER}/status/`.length)))
    const content = { bits: 1, lst: deflateSync(new Uint8Array(size)).toString('base64url') }
    return new Response(listOf(url, [], { status_list: content }))
  }
  const verifier = await createVerifier(options([key], { fetch, status: statusList() }))
  const verify = (number) => verifier.verify(tokenAt(1, `${ISSUER}/status/${number}`))
  for (let number = 1; number <= 31; number++) await verify(number)
  await verify(1)
  await verify(32)
  for (const number of [1, 3, 2]) await verify(number)
  assert.deepEqual(requested.slice(31), [32, 2])

  // Not the newest one, even if there is hardly any room.
  size = 2_064_000
  await verify(33)
  for (const number of [34, 34]) await verify(number)
  assert.deepEqual(requested.slice(33), [33, 34])
})

test('a list is stored, and another verifier reads it from there and verifies it', async (t) => {
  const map = new Map()
  const store = { get: async (key) => map.get(key), put: async (key, value) => map.set(key, value) }
  const { server, clock, make, good, revoked, verifier } = await checked(t, { status: { store } })
  await verifier.verify(good)
  await eventually(() => map.size === 1)
  const name = `${server.url}?countersign=jwks`
  assert.deepEqual([...map.keys()], [name])
  const second = await make()
  await second.verify(good)
  assert.equal(await codeOf(() => second.verify(revoked)), 'token_revoked')
  assert.equal(server.requests, 1)

  // Its lifetime counts from its fetch.
  clock.now = NOW + 60
  const third = await make()
  await third.verify(good)
  assert.equal(server.requests, 2)

  // So does the time before it in caches, but not a ttl that is longer than the list's own.
  server.answer = answer(listOf(server.url, [3]), { age: '20' })
  clock.now = NOW + 120
  await third.verify(good)
  await eventually(() => JSON.parse(map.get(name)).at === NOW + 120)
  const stored = JSON.parse(map.get(name))
  for (const [ttl, seconds] of [[stored.ttl, 40], [86_400, 60]]) {
    map.set(name, JSON.stringify({ ...stored, ttl }))
    for (const [late, fetches] of [[seconds - 13, 0], [seconds, 1]]) {
      const { requests } = server
      clock.now = NOW + 120 + late
      await (await make()).verify(good)
      assert.equal(server.requests, requests + fetches, `${ttl} after ${late} s`)
      map.set(name, JSON.stringify({ ...stored, ttl }))
    }
  }

  for (const text of [listOf(server.url, [], {}, next), listOf(`${server.url}0`), listOf(server.url, [], { exp: NOW }), '']) {
    map.set(name, JSON.stringify({ ...stored, text }))
    const { requests } = server
    const other = await make()
    assert.equal(await codeOf(() => other.verify(revoked)), 'token_revoked', text)
    assert.equal(server.requests, requests + 1)
  }
})

test('wrong options are refused by name', async () => {
  const origin = 'https://status.example'
  const cases = [
    [{ maxStale: -1 }, 'status.maxStale', /-1; expected a number from 0 to 604800/],
    [{ maxStale: '5m' }, 'status.maxStale', /a string/],
    [{ required: 1 }, 'status.required', /1; expected true or false/],
    [{ required: null }, 'status.required', /null/],
    [{ accepted: 2 }, 'status.accepted', /2; expected an array of whole numbers from 2 to 255/],
    ...[1, 0, -1, 256, 2.5, '2'].map((value) => [{ accepted: [value] }, 'status.accepted', /an array/]),
    ...[origin, [`${origin}/`], ['status.example'], ['null'], [new URL(origin)], ['HTTPS://status.example'], ['*']].map(
      (origins) => [{ origins }, 'status.origins', /expected an array of origins such as https:\/\/status\.example/],
    ),
    [{ store: {} }, 'status.store', /get and put/],
    [{ maxstale: 1 }, 'status.maxstale', /did you mean status\.maxStale\?/],
    [null, 'status', /null; expected/],
    [5, 'status', /5; expected/],
  ]
  for (const [given, reason, message] of cases) {
    const made = createVerifier(options([key], { status: statusList(given) }))
    await assert.rejects(made, { code: 'options_invalid', reason, message }, JSON.stringify(given))
  }
  const several = createVerifier([options([key]), options([key], { issuer: 'https://b.example', status: statusList({ maxStale: -1 }) })])
  await assert.rejects(several, { code: 'options_invalid', reason: '[1].status.maxStale', message: /^option `\[1\]\.status\.maxStale`/ })
  for (const wrong of [{ maxStale: 60 }, true, null, 'on']) {
    const made = createVerifier(options([key], { status: wrong }))
    await assert.rejects(made, { code: 'options_invalid', reason: 'status', message: /expected statusList\(\) of countersign\/status/ })
  }
})

test('a runtime without DecompressionStream is refused at once', async (t) => {
  const { DecompressionStream } = globalThis
  delete globalThis.DecompressionStream
  t.after(() => (globalThis.DecompressionStream = DecompressionStream))
  const made = createVerifier(options([key], { status: statusList() }))
  await assert.rejects(made, { code: 'options_invalid', reason: 'status', message: /needs DecompressionStream, which this runtime lacks/ })
})

test('the options are read when statusList is called', async (t) => {
  const { server } = await checked(t)
  const origins = [new URL(server.url).origin]
  const given = { origins }
  const check = statusList(given)
  given.origins = []
  origins.length = 0
  const verifier = await createVerifier(options([key], { status: check }))
  await verifier.verify(tokenAt(2, server.url))
})
