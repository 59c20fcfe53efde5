// The requests of verifiers under load to a real key set endpoint, and the verdicts on their tokens.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { endpoint, jwks, key, lasting, next, remote, status } from './package-endpoint.js'
import { claims, makeToken, NOW } from './package-tokens.js'

const [valid, rotated] = [lasting(key), lasting(next)]
const COOLDOWN = 10

/** Returns a new token with an unknown `kid` each time. Without a key, its signature is not read. */
let junkKids = 0
function junk() {
  const header = Buffer.from(JSON.stringify({ alg: 'RS256', typ: 'at+jwt', kid: `junk-${++junkKids}` })).toString('base64url')
  return [header, ...valid.split('.').slice(1)].join('.')
}

/**
 * Verifies so many tokens a second while the verifier's clock runs. No token waits for the verdict on the one before.
 * Counts the verdicts by their code.
 */
async function traffic({ verifier, clock }, seconds, perSecond, tokenAt) {
  const verdicts = {}
  const pending = []
  const start = clock.now
  for (let i = 1; i <= seconds * perSecond; i++) {
    clock.now = start + i / perSecond
    const verdict = verifier.verify(tokenAt(i)).then(() => 'verified', ({ code }) => code)
    pending.push(verdict.then((name) => (verdicts[name] = (verdicts[name] ?? 0) + 1)))
    // Lets the sockets work: a fetch takes about a tenth of a second of the clock.
    await new Promise(setImmediate)
  }
  await Promise.all(pending)
  return verdicts
}

/** Answers like a failing endpoint: with 503, by closing the connection, or by closing it within the response. */
function down() {
  let requests = 0
  return (response) => {
    const kind = requests++ % 3
    if (kind === 0) return status(503)(response)
    if (kind === 1) return response.destroy()
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': '1000' })
    response.write('{"keys":', () => response.destroy())
  }
}

test('fifty cold verifications share one fetch, and so do fifty that come during the response', async (t) => {
  let arrived
  const asked = new Promise((resolve) => (arrived = resolve))
  const server = await endpoint(t, (response) => {
    arrived()
    setTimeout(jwks([key, next]), 100, response)
  })
  const { verifier } = await remote(server.url)
  const tokens = Array.from({ length: 50 }, (_, i) => makeToken(i % 2 ? key : next, claims({ sub: `somebody ${i}` })))
  const first = tokens.map((token) => verifier.verify(token))
  await asked
  const second = tokens.map((token) => verifier.verify(token))
  const verified = await Promise.all([...first, ...second])
  assert.deepEqual(verified.slice(50).map(({ payload }) => payload.sub), tokens.map((_, i) => `somebody ${i}`))
  assert.equal(server.requests, 1)
})

test('fifty unknown kids cause at most two fetches, at once or in sequence, cold or warm', async (t) => {
  for (const warm of [false, true]) {
    const server = await endpoint(t)
    const { verifier, clock } = await remote(server.url)
    if (warm) await verifier.verify(valid)
    const refused = () => assert.rejects(verifier.verify(junk()), { code: 'key_not_found' })
    await Promise.all(Array.from({ length: 50 }, refused))
    for (let i = 0; i < 50; i++) {
      clock.now += (COOLDOWN - 1) / 50
      await refused()
    }
    await verifier.verify(valid)
    assert.ok(server.requests <= 2, `${server.requests} fetches`)
  }
})

test('in an outage of 60 s at 100 tokens a second there are at most ten fetches, and no valid token is refused', async (t) => {
  const server = await endpoint(t, jwks([key], { 'cache-control': 'max-age=30' }))
  const load = await remote(server.url)
  assert.deepEqual(await traffic(load, 20, 100, () => valid), { verified: 2000 })
  assert.equal(server.requests, 1)

  // Each tenth token has an unknown kid, which must not cause more fetches. After 10 s the set is past its lifetime.
  server.answer = down()
  const verdicts = await traffic(load, 60, 100, (i) => (i % 10 ? valid : junk()))
  assert.deepEqual(verdicts, { verified: 5400, key_not_found: 100, jwks_unavailable: 500 })
  const { requests } = server
  assert.ok(requests > 4 && requests <= 1 + 10, `${requests - 1} fetches`)

  server.answer = jwks([next], { 'cache-control': 'max-age=30' })
  await traffic(load, 75, 100, () => rotated)
  await load.verifier.verify(rotated)
  await assert.rejects(load.verifier.verify(valid), { code: 'key_not_found' })
})

test('in an outage from the start there are as few fetches, and every token is refused with the cause', async (t) => {
  const server = await endpoint(t, down())
  const load = await remote(server.url)
  assert.deepEqual(await traffic(load, 60, 100, () => valid), { jwks_unavailable: 6000 })
  assert.ok(server.requests > 4 && server.requests <= 10, `${server.requests} fetches`)
})

test('in a flood of unknown kids a rotated key is usable within the cooldown', async (t) => {
  const server = await endpoint(t)
  const load = await remote(server.url)
  const { verifier, clock } = load
  await verifier.verify(valid)
  await traffic(load, 3, 100, junk)
  server.answer = jwks([key, next])
  const rotatedAt = clock.now
  let usableAt
  await traffic(load, 3 * COOLDOWN, 100, (i) => {
    if (i % 10) return junk()
    verifier.verify(rotated).then(() => (usableAt ??= clock.now), () => {})
    return valid
  })
  assert.ok(usableAt - rotatedAt <= COOLDOWN, `usable after ${usableAt - rotatedAt} s`)
  // One for the keys, one at the start of each cooldown.
  assert.ok(server.requests <= 1 + 4, `${server.requests} fetches`)
})

test('a removed key verifies until the next fetch and not after it, also for cached tokens', async (t) => {
  const server = await endpoint(t, jwks([key, next], { 'cache-control': 'max-age=100' }))
  const load = await remote(server.url, { cache: 100 })
  const { verifier, clock } = load
  assert.deepEqual(await traffic(load, 50, 10, () => valid), { verified: 500 })
  assert.equal(await verifier.verify(valid), await verifier.verify(valid), 'remembered')

  server.answer = jwks([next], { 'cache-control': 'max-age=100' })
  assert.deepEqual(await traffic(load, 29, 10, () => valid), { verified: 290 })
  assert.equal(server.requests, 1)
  clock.now = NOW + 90
  await verifier.verify(valid)
  await verifier.refresh() // Waits for the fetch of the call before.
  assert.equal(server.requests, 2)
  assert.throws(() => verifier.verifySync(valid), { code: 'key_not_found' })
  // In 15 s there is a second fetch for the kid that is now unknown, and a third after the cooldown.
  assert.deepEqual(await traffic(load, 15, 10, () => valid), { key_not_found: 150 })
  assert.deepEqual(await traffic(load, 15, 10, () => rotated), { verified: 150 })
  assert.ok(server.requests <= 4, `${server.requests} fetches`)
})

// Each interval is 80 % of the lifetime in the response, of `minTtl`, or of the default, and up to 90 % by chance.
for (const { headers, every } of [
  { headers: { 'cache-control': 'public, max-age=300' }, every: 240 },
  { headers: { 'cache-control': 'public, max-age=300', age: '100' }, every: 160 },
  { headers: { 'cache-control': 'public, max-age=60', age: '59' }, every: 24 },
  { headers: {}, every: 480 },
]) {
  test(`with the response headers ${JSON.stringify(headers)} there is a fetch each ${every} s at the earliest, at one token a second`, async (t) => {
    t.mock.method(Math, 'random', () => 0)
    const times = []
    const server = await endpoint(t, jwks([key], headers))
    const { verifier, clock } = await remote(server.url, {
      fetch(...request) {
        times.push(clock.now - NOW)
        return fetch(...request)
      },
    })
    for (let second = 0; second < 1500; second++) {
      clock.now = NOW + second
      const { length } = times
      await verifier.verify(valid)
      // Waits for the fetch of this call, so that it takes no time of the clock.
      if (second > 0 && times.length > length) await verifier.refresh()
    }
    const expected = Array.from({ length: Math.ceil(1500 / every) }, (_, i) => i * every)
    assert.deepEqual(times, expected)
    assert.equal(server.requests, expected.length)
  })
}
