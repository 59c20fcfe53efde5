// The example edge-gateway with the running issuer: key sets and status lists under load, in an outage, after a rotation and a
// logout. The issuer is behind a proxy that counts requests and can be down.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { after, before, test } from 'node:test'
import { logIn, startIssuer } from '../js/support/issuer.js'
import { tamperWith } from '../js/support/tampering.js'
import { bearer, bundleGateway, startGateway, startOrigin, until } from './gateway.js'

const LIMIT = { timeout: 120_000 }
const KEYS = '/.well-known/jwks.json'
const LIST = '/status/1'

let bundled, issuer, proxy

before(async () => {
  bundled = await bundleGateway()
  proxy = await startProxy()
  issuer = await startIssuer({ flags: ['--status-lists', '--issuer', proxy.url] })
  proxy.target = issuer.url
})
after(async () => {
  await issuer?.stop()
  proxy?.close()
  await bundled?.remove()
})

/**
 * Starts a proxy before the issuer. `requests` has the paths that were asked for, `ended` for each answer whether it was sent
 * to its end. `delay` may wait before an answer.
 */
async function startProxy() {
  const state = { target: '', requests: [], ended: [], isDown: false, delay: async () => {} }
  const server = createServer(async (request, response) => {
    state.requests.push(request.url)
    response.on('close', () => state.ended.push(response.writableFinished))
    if (state.isDown) return response.writeHead(503).end()
    const { accept, 'if-none-match': tag = '' } = request.headers
    const answer = await fetch(state.target + request.url, { headers: { accept, 'if-none-match': tag } })
    await state.delay()
    response.writeHead(answer.status, Object.fromEntries(answer.headers)).end(Buffer.from(await answer.arrayBuffer()))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  state.url = `http://127.0.0.1:${server.address().port}`
  state.count = (path) => state.requests.filter((asked) => asked === path).length
  state.close = () => {
    server.close()
    server.closeAllConnections()
  }
  return state
}

const kidOf = (token) => JSON.parse(Buffer.from(token.split('.')[0], 'base64url')).kid

/** Starts an origin and a gateway before it. Keys and lists are due after `ttl` seconds. */
async function start(t, { ttl = 60, maxStale = 300, ...settings } = {}) {
  Object.assign(proxy, { requests: [], ended: [], isDown: false, delay: async () => {} })
  const origin = await startOrigin(t)
  const jwksOptions = { minTtl: Math.min(ttl, 30), maxTtl: ttl, staleIfError: maxStale }
  const env = {
    ISSUER: proxy.url,
    AUDIENCE: 'api',
    ORIGIN: origin.url,
    ROUTES: [{ path: '/notes', scope: 'read' }, { path: '/admin', scope: 'admin' }],
    VERIFIER: { jwks: proxy.url + KEYS, jwksOptions },
    STATUS: { maxStale },
    ...settings,
  }
  const gateway = await startGateway(t, bundled.worker, env)
  const ask = async (token) => {
    const { status, headers, text } = await gateway.send({ path: '/notes', headers: bearer(token) })
    if (status === 200) return { status }
    return { status, headers, error: JSON.parse(text).error, code: await codeOf(gateway.logged) }
  }
  return { ...gateway, origin, ask }
}

/** Returns the code in the next line about a refused request. */
async function codeOf(logged) {
  for (;;) {
    const { event, code } = await logged()
    if (event === 'refused') return code
  }
}

test('a thousand requests at once to a cold isolate share one fetch of keys and one of the status list', LIMIT, async (t) => {
  const { ask, origin } = await start(t)
  const { access_token: token } = await logIn(issuer.url)
  const started = Date.now()
  const answers = await Promise.all(Array.from({ length: 1000 }, () => ask(token)))
  const seconds = (Date.now() - started) / 1000
  assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([200]))
  assert.equal(origin.requests.length, 1000)
  const fetches = [proxy.count(KEYS), proxy.count(LIST)]
  t.diagnostic(`fetches of the key set and the list: ${fetches.join(' and ')}`)
  // A request that waited for another one's fetch for a second fetches for itself.
  for (const count of fetches) assert.ok(count >= 1 && count <= 1 + seconds, `${count} fetches in ${seconds} s`)
  assert.equal((await ask(tamperWith(token))).code, 'signature_invalid')
})

test('another isolate finds the key set and the status list in the Cache API', LIMIT, async (t) => {
  const { send, sendToOther, origin } = await start(t)
  const { access_token: token } = await logIn(issuer.url)
  // A refused request is the first to end, before the keys and the list are stored.
  assert.equal((await send({ path: '/admin', headers: bearer(token) })).status, 403)
  assert.deepEqual([proxy.count(KEYS), proxy.count(LIST)], [1, 1])
  proxy.isDown = true
  await until(async () => (await sendToOther({ path: '/notes', headers: bearer(token) })).status === 200)
  assert.equal(origin.requests.length, 1)
})

test('without keys a request is refused with 503, not 401, and reaches the origin once there are some', LIMIT, async (t) => {
  const { ask, origin, send } = await start(t)
  const { access_token: token } = await logIn(issuer.url)
  proxy.isDown = true
  const { status, headers, error, code } = await ask(token)
  assert.deepEqual([status, error, code], [503, 'temporarily_unavailable', 'jwks_unavailable'])
  assert.deepEqual([headers['retry-after'], headers['www-authenticate']], ['10', undefined])
  const page = await send({ path: '/notes', headers: { ...bearer(token), accept: 'text/html' } })
  assert.deepEqual([page.status, page.headers['retry-after']], [503, '10'])
  assert.doesNotMatch(page.text, /127\.0\.0\.1/)
  assert.equal((await ask('no.token')).status, 401)
  assert.equal(origin.requests.length, 0)
  proxy.isDown = false
  await until(async () => (await ask(token)).status === 200)
})

test('if the key set is none, a request is refused with 503', LIMIT, async (t) => {
  const { ask, origin } = await start(t, { VERIFIER: { jwks: `${proxy.url}/.well-known/oauth-authorization-server` } })
  const { access_token: token } = await logIn(issuer.url)
  const { status, headers, code } = await ask(token)
  assert.deepEqual([status, code, headers['retry-after']], [503, 'jwks_invalid', '10'])
  assert.equal(origin.requests.length, 0)
})

test('in an outage of the issuer, keys and lists are used until they are too old, and then nothing passes', LIMIT, async (t) => {
  const { ask, origin } = await start(t, { ttl: 1, maxStale: 5 })
  const { access_token: token } = await logIn(issuer.url)
  assert.equal((await ask(token)).status, 200)
  proxy.isDown = true
  const { length } = proxy.requests
  await until(async () => (assert.equal((await ask(token)).status, 200), proxy.requests.length > length))
  assert.equal((await ask(token)).status, 200)
  assert.equal((await ask(tamperWith(token))).status, 401)
  let refused
  await until(async () => (refused = await ask(token)).status !== 200)
  assert.deepEqual([refused.status, refused.headers['retry-after']], [503, '10'])
  assert.match(refused.code, /^(jwks|status)_unavailable$/)
  const passed = origin.requests.length
  assert.equal((await ask(token)).status, 503)
  assert.equal(origin.requests.length, passed)
  proxy.isDown = false
  await until(async () => (await ask(token)).status === 200)
})

test('the tokens of a session that was ended are refused, and no others', LIMIT, async (t) => {
  const { ask, origin } = await start(t, { ttl: 1 })
  const [ended, other] = [await logIn(issuer.url), await logIn(issuer.url)]
  assert.deepEqual([(await ask(ended.access_token)).status, (await ask(other.access_token)).status], [200, 200])
  const body = new URLSearchParams({ refresh_token: ended.refresh_token })
  assert.equal((await fetch(`${issuer.url}/logout`, { method: 'POST', body })).status, 204)
  let refused
  await until(async () => (refused = await ask(ended.access_token)).status !== 200)
  assert.deepEqual([refused.status, refused.error, refused.code], [401, 'invalid_token', 'token_revoked'])
  const passed = origin.requests.length
  assert.equal((await ask(ended.access_token)).status, 401)
  assert.equal(origin.requests.length, passed)
  assert.equal((await ask(other.access_token)).status, 200)
})

test('keys and lists are renewed ahead of time, and a renewal outlives the request that began it', LIMIT, async (t) => {
  const { ask } = await start(t, { REFRESH_SECONDS: 1 })
  const { access_token: token } = await logIn(issuer.url)
  assert.equal((await ask(token)).status, 200)
  // The isolate has its keys for a minute.
  proxy.delay = () => new Promise((resolve) => setTimeout(resolve, 300))
  await until(async () => (assert.equal((await ask(token)).status, 200), proxy.count(KEYS) > 1))
  await until(() => proxy.count(LIST) > 1 && proxy.ended.length === proxy.requests.length)
  assert.ok(proxy.ended.every(Boolean))
})

test('after a rotation new tokens pass at once, and those of a revoked key no longer', LIMIT, async (t) => {
  const { ask } = await start(t, { ttl: 1 })
  const { access_token: old } = await logIn(issuer.url)
  assert.equal((await ask(old)).status, 200)
  const kid = kidOf(old)
  await issuer.run(['keys', 'revoke', kid])
  let fresh
  await until(async () => kidOf((fresh = (await logIn(issuer.url)).access_token)) !== kid)
  assert.equal((await ask(fresh)).status, 200)
  let refused
  await until(async () => (refused = await ask(old)).status !== 200)
  assert.deepEqual([refused.status, refused.code], [401, 'key_not_found'])
  assert.equal((await ask(fresh)).status, 200)
})
