// What verifiers under load ask of a key set endpoint, counted at a real one, and what becomes of their tokens meanwhile.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { endpoint, jwks, key, lasting, next, remote, status } from './package-endpoint.js'
import { claims, makeToken, NOW } from './package-tokens.js'

const [valid, rotated] = [lasting(key), lasting(next)]
const COOLDOWN = 10

/** Another token each time, of a `kid` that nobody has. Its signature is of no interest: no key, no look at it. */
let junkKids = 0
function junk() {
  const header = Buffer.from(JSON.stringify({ alg: 'RS256', typ: 'at+jwt', kid: `junk-${++junkKids}` })).toString('base64url')
  return [header, ...valid.split('.').slice(1)].join('.')
}

/**
 * Has so many tokens verified a second while the verifier's clock runs through the seconds: one token after the other,
 * none of them waiting for the verdict on the one before. Counts the verdicts; a refusal counts by its code.
 */
async function traffic({ verifier, clock }, seconds, perSecond, tokenAt) {
  const verdicts = {}
  const pending = []
  const start = clock.now
  for (let i = 1; i <= seconds * perSecond; i++) {
    clock.now = start + i / perSecond
    const verdict = verifier.verify(tokenAt(i)).then(() => 'verified', ({ code }) => code)
    pending.push(verdict.then((name) => (verdicts[name] = (verdicts[name] ?? 0) + 1)))
    // Lets the sockets have their turn: a fetch takes a tenth of the clock's seconds or so.
    await new Promise(setImmediate)
  }
  await Promise.all(pending)
  return verdicts
}

/** Answers as an endpoint does that is down: with 503, with a connection cut short, with one cut within the answer. */
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

test('fifty cold verifications of many tokens make one fetch of a slow endpoint, and so do fifty that come while it answers', async (t) => {
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

test('fifty junk kids make two fetches at most, at once and one after the other, cold and warm', async (t) => {
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

test('an endpoint that is down for 60 s under 100 tokens a second is asked ten times at most, and no good token is refused', async (t) => {
  const server = await endpoint(t, jwks([key], { 'cache-control': 'max-age=30' }))
  const load = await remote(server.url)
  assert.deepEqual(await traffic(load, 20, 100, () => valid), { verified: 2000 })
  assert.equal(server.requests, 1)

  // Each tenth token is of no kid that there is. That must not make the endpoint's day worse.
  server.answer = down()
  const verdicts = await traffic(load, 60, 100, (i) => (i % 10 ? valid : junk()))
  assert.deepEqual(verdicts, { verified: 5400, key_not_found: 600 })
  const { requests } = server
  assert.ok(requests > 4 && requests <= 1 + 10, `${requests - 1} fetches`)

  server.answer = jwks([next], { 'cache-control': 'max-age=30' })
  await traffic(load, 75, 100, () => rotated)
  await load.verifier.verify(rotated)
  await assert.rejects(load.verifier.verify(valid), { code: 'key_not_found' })
})

test('an endpoint that is down from the start is asked as seldom, and every token hears of it', async (t) => {
  const server = await endpoint(t, down())
  const load = await remote(server.url)
  assert.deepEqual(await traffic(load, 60, 100, () => valid), { jwks_unavailable: 6000 })
  assert.ok(server.requests > 4 && server.requests <= 10, `${server.requests} fetches`)
})

test('a rotated key is usable within the cooldown in the midst of a flood of junk kids', async (t) => {
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

test('a key that leaves the endpoint verifies until the next fetch and not once after it, remembered verdicts included', async (t) => {
  const server = await endpoint(t, jwks([key, next], { 'cache-control': 'max-age=100' }))
  const load = await remote(server.url, { cache: 100 })
  const { verifier, clock } = load
  assert.deepEqual(await traffic(load, 50, 10, () => valid), { verified: 500 })
  assert.equal(await verifier.verify(valid), await verifier.verify(valid), 'remembered')

  server.answer = jwks([next], { 'cache-control': 'max-age=100' })
  assert.deepEqual(await traffic(load, 29, 10, () => valid), { verified: 290 })
  assert.equal(server.requests, 1)
  clock.now = NOW + 80
  await verifier.verify(valid)
  await verifier.refresh() // Waits for the fetch that the call before has begun.
  assert.equal(server.requests, 2)
  assert.throws(() => verifier.verifySync(valid), { code: 'key_not_found' })
  // 15 s have a second fetch for the kid that is now unknown, and a third after the cooldown.
  assert.deepEqual(await traffic(load, 15, 10, () => valid), { key_not_found: 150 })
  assert.deepEqual(await traffic(load, 15, 10, () => rotated), { verified: 150 })
  assert.ok(server.requests <= 4, `${server.requests} fetches`)
})

// Each is 80 % of what the answer says, or of the least time or of the default.
for (const { headers, every } of [
  { headers: { 'cache-control': 'public, max-age=300' }, every: 240 },
  { headers: { 'cache-control': 'public, max-age=300', age: '100' }, every: 160 },
  { headers: { 'cache-control': 'public, max-age=60', age: '59' }, every: 24 },
  { headers: {}, every: 480 },
]) {
  test(`an endpoint that answers with ${JSON.stringify(headers)} is asked each ${every} s, by a token each second`, async (t) => {
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
      // Waits for the fetch that this call has begun, so that none takes any of the clock's time.
      if (second > 0 && times.length > length) await verifier.refresh()
    }
    const expected = Array.from({ length: Math.ceil(1500 / every) }, (_, i) => i * every)
    assert.deepEqual(times, expected)
    assert.equal(server.requests, expected.length)
  })
}
