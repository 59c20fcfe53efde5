// The package in workerd, the runtime of Cloudflare Workers, where a request must not await another one's promises.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { deflateSync } from 'node:zlib'
import { Miniflare } from 'miniflare'
import { endpoint, eventually, jwks, key, status } from './package-endpoint.js'
import { AUDIENCE, claims, ISSUER, makeKey, makeToken } from './package-tokens.js'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))

/** A request that hangs fails the test. */
const LIMIT = { timeout: 60_000 }

const iat = Math.floor(Date.now() / 1000)
const payload = claims({ iat, exp: iat + 900 })
const token = makeToken(key, payload)

/** Starts a new isolate. Returns a function that posts a token to it. */
function coldWorker(t, url, others = {}) {
  const worker = new Miniflare({
    cf: false,
    modules: true,
    modulesRoot: ROOT,
    scriptPath: join(ROOT, 'tests/js/support/worker.js'),
    modulesRules: [
      { type: 'ESModule', include: ['**/*.js'] },
      { type: 'CompiledWasm', include: ['**/*.wasm'] },
    ],
    compatibilityDate: '2024-09-23',
  })
  t.after(() => worker.dispose())
  return async (token, endAfter) => {
    const body = JSON.stringify({ options: { issuer: ISSUER, audience: AUDIENCE, jwks: url, ...others }, token, endAfter })
    const response = await fetch(await worker.ready, { method: 'POST', body })
    return { status: response.status, body: await response.json() }
  }
}

/**
 * Sends so many requests with the token at once. Without keys, or without its status list, at most one request a second may
 * fetch them.
 */
async function crowd(count, post, server, sent = token, body = payload) {
  const [before, start] = [server.requests, Date.now()]
  const answers = await Promise.all(Array.from({ length: count }, () => post(sent)))
  for (const answer of answers) assert.deepEqual(answer, { status: 200, body })
  const [fetches, seconds] = [server.requests - before, (Date.now() - start) / 1000]
  assert.ok(fetches >= 1 && fetches <= 1 + seconds, `${fetches} fetches in ${seconds} s`)
}

test('a thousand requests at once to a cold isolate are accepted, and share one fetch', LIMIT, async (t) => {
  const server = await endpoint(t, (response) => void setTimeout(jwks([key]), 300, response))
  const post = coldWorker(t, server.url)
  await crowd(1000, post, server)
  const fetches = server.requests
  const forged = await post(makeToken(makeKey('k1'), payload))
  assert.deepEqual([forged.status, forged.body.code, server.requests], [401, 'signature_invalid', fetches])
})

test('with waitUntil a fetch outlives the request that began it', LIMIT, async (t) => {
  const server = await endpoint(t)
  const answered = new Promise((resolve) => {
    server.answer = (response) => {
      response.on('close', resolve)
      setTimeout(jwks([key]), 400, response)
    }
  })
  const post = coldWorker(t, server.url, { outlive: true })
  assert.equal((await post(token, 100)).body, 'ended')
  await answered
  assert.deepEqual([await post(token), server.requests], [{ status: 200, body: payload }, 1])
})

test('if the request that fetches has ended, another one fetches for all', LIMIT, async (t) => {
  const server = await endpoint(t)
  const asked = new Promise((resolve) => (server.answer = resolve))
  const post = coldWorker(t, server.url)
  const ended = post(token, 200)
  const cut = once(await asked, 'close')
  server.answer = jwks([key])
  await Promise.all([crowd(100, post, server), ended, cut])
})

/** Starts an endpoint of a list that revokes the index 3, and an isolate that looks at it. */
async function withList(t, { ttl = 60, maxStale = 300 } = {}) {
  const keys = await endpoint(t)
  const server = await endpoint(t)
  const { origin } = new URL(server.url)
  const uri = `${origin}/status/1`
  const list = { iss: ISSUER, sub: uri, iat, exp: iat + 900, ttl, status_list: { bits: 1, lst: deflateSync(Uint8Array.of(8)).toString('base64url') } }
  server.answer = status(200, { etag: '"one"' }, makeToken(key, list, { typ: 'statuslist+jwt' }))
  const [good, revoked] = [2, 3].map((idx) => claims({ iat, exp: iat + 900, status: { status_list: { idx, uri } } }))
  const post = coldWorker(t, keys.url, { jwksOptions: { minTtl: 1 }, status: { maxStale, origins: [origin] } })
  return { server, post, good, tokens: [good, revoked].map((payload) => makeToken(key, payload)) }
}

test('a thousand requests at once to a cold isolate share one fetch of a status list', LIMIT, async (t) => {
  const { server, post, good, tokens: [valid, revoked] } = await withList(t)
  const { answer } = server
  server.answer = (response) => void setTimeout(answer, 300, response)
  await crowd(1000, post, server, valid, good)
  assert.deepEqual(await post(revoked), { status: 401, body: { code: 'token_revoked', message: 'the token was revoked' } })
})

test('if the request that fetches a status list has ended, another one fetches it for all', LIMIT, async (t) => {
  const { server, post, good, tokens: [valid] } = await withList(t)
  const { answer } = server
  const asked = new Promise((resolve) => (server.answer = resolve))
  const ended = post(valid, 1000)
  const cut = once(await asked, 'close')
  server.answer = answer
  await Promise.all([crowd(100, post, server, valid, good), ended, cut])
})

test('in an outage a status list is used for maxStale, and not longer', LIMIT, async (t) => {
  const { server, post, good, tokens: [valid, revoked] } = await withList(t, { ttl: 1, maxStale: 5 })
  const accepted = { status: 200, body: good }
  assert.deepEqual(await post(valid), accepted)
  server.answer = status(304)
  await eventually(async () => (assert.deepEqual(await post(valid), accepted), server.requests > 1))
  assert.equal(server.headers.at(-1)['if-none-match'], '"one"')
  server.answer = status(503)
  const failed = server.requests
  await eventually(async () => (await post(valid), server.requests > failed))
  assert.deepEqual(await post(valid), accepted)
  assert.equal((await post(revoked)).body.code, 'token_revoked')
  const isUnavailable = async () => (await post(valid)).body.code === 'status_unavailable'
  while (!(await isUnavailable())) await new Promise((resolve) => setTimeout(resolve, 100))
  assert.equal((await post(revoked)).body.code, 'status_unavailable')
})
