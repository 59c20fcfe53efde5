// The package in workerd, the runtime of Cloudflare Workers, where a request must not await another one's promises.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Miniflare } from 'miniflare'
import { endpoint, jwks, key } from './package-endpoint.js'
import { AUDIENCE, claims, ISSUER, makeKey, makeToken } from './package-tokens.js'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))

/** A request that hangs fails the test. */
const LIMIT = { timeout: 60_000 }

const iat = Math.floor(Date.now() / 1000)
const payload = claims({ iat, exp: iat + 900 })
const token = makeToken(key, payload)

/** Starts a new isolate. Returns a function that posts a token to it. */
function coldWorker(t, url) {
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
    const body = JSON.stringify({ options: { issuer: ISSUER, audience: AUDIENCE, jwks: url }, token, endAfter })
    const response = await fetch(await worker.ready, { method: 'POST', body })
    return { status: response.status, body: await response.json() }
  }
}

/**
 * Sends so many requests with the token at once. Without keys, at most one request a second may fetch them.
 */
async function crowd(count, post, server) {
  const [before, start] = [server.requests, Date.now()]
  const answers = await Promise.all(Array.from({ length: count }, () => post(token)))
  for (const answer of answers) assert.deepEqual(answer, { status: 200, body: payload })
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

test('if the request that fetches has ended, another one fetches for all', LIMIT, async (t) => {
  const server = await endpoint(t)
  const asked = new Promise((resolve) => (server.answer = resolve))
  const post = coldWorker(t, server.url)
  const ended = post(token, 200)
  const cut = once(await asked, 'close')
  server.answer = jwks([key])
  await Promise.all([crowd(100, post, server), ended, cut])
})
