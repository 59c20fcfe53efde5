import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { createServer, request as send } from 'node:http'
import * as http2 from 'node:http2'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { createVerifier, VerifyError } from 'countersign'
import { guard } from 'countersign/express'
import express from 'express'
import { claims, makeKey, makeToken, NOW, options } from './package-tokens.js'

const key = makeKey('k1')
const token = makeToken(key, claims({ scope: 'read' }))
const verifier = await createVerifier(options([key]))
const bearer = { authorization: `Bearer ${token}` }

/** Serves `app` until the test ends. Returns its address. */
async function serve(t, app) {
  const server = createServer(app).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => new Promise((resolve) => {
    server.close(resolve)
    server.closeAllConnections()
  }))
  return `http://127.0.0.1:${server.address().port}`
}

/** Returns an Express application with the guard and a last handler behind it. */
function guarded(options, { before = [], verifiers = verifier } = {}) {
  const app = express()
  app.set('env', 'test')
  for (const handler of before) app.use(handler)
  app.use(guard(verifiers, options))
  app.use((req, res) => res.json(req.auth))
  return app
}

/** Sends header lines unchanged. `fetch` would join or refuse them. */
async function raw(url, headers, path = '/') {
  const request = send(url + path, { headers: ['host', 'api.example', ...headers] }).end()
  const [response] = await once(request, 'response')
  const body = Buffer.concat(await response.toArray()).toString()
  return { status: response.statusCode, headers: response.headers, body: body && JSON.parse(body) }
}

test('req.auth holds the claims, by both names, and the header', async (t) => {
  const response = await fetch(await serve(t, guarded()), { headers: bearer })
  assert.equal(response.status, 200)
  const expected = claims({ scope: 'read' })
  assert.deepEqual(await response.json(), { claims: expected, payload: expected, header: { alg: 'RS256', typ: 'at+jwt', kid: 'k1' } })
})

test('req.auth holds the token, and logs of it do not', async (t) => {
  const app = express().use(guard(verifier), ({ auth }, res) => res.json([auth.token, { ...auth }, JSON.stringify(auth)]))
  const [found, ...others] = await (await fetch(await serve(t, app), { headers: bearer })).json()
  assert.equal(found, token)
  for (const other of others) assert.ok(!JSON.stringify(other).includes(token))
})

test('a refused request is answered, and no handler behind the guard runs', async (t) => {
  let ran = 0
  const url = await serve(t, guarded({ scope: 'read' }, { before: [(req, res, next) => res.on('finish', () => (ran += res.statusCode < 400)) && next()] }))
  const unscoped = makeToken(key)
  const table = [
    [{}, '/', 401, 'unauthorized', 'Bearer'],
    [{ authorization: 'Basic dTpw' }, '/', 401, 'unauthorized', 'Bearer'],
    [{ authorization: 'Bearer a b' }, '/', 400, 'invalid_request', /^Bearer error="invalid_request"/],
    [bearer, '/?access_token=a', 400, 'invalid_request', /^Bearer error="invalid_request"/],
    [{ authorization: 'Bearer abc' }, '/', 401, 'invalid_token', /^Bearer error="invalid_token"/],
    [{ authorization: `Bearer ${unscoped}` }, '/', 403, 'insufficient_scope', /^Bearer error="insufficient_scope".*, scope="read"$/],
  ]
  for (const [headers, path, status, error, challenge] of table) {
    const response = await fetch(url + path, { headers })
    assert.equal(response.status, status)
    assert.equal(response.headers.get('cache-control'), 'no-store')
    assert.equal(response.headers.get('content-type'), 'application/json')
    const text = await response.text()
    assert.equal(JSON.parse(text).error, error)
    assert.ok(!text.includes(token.split('.')[1]))
    if (typeof challenge === 'string') assert.equal(response.headers.get('www-authenticate'), challenge)
    else assert.match(response.headers.get('www-authenticate'), challenge)
  }
  assert.equal(ran, 0)
})

test('two Authorization headers are a bad request, although Node.js shows only the first', async (t) => {
  const url = await serve(t, guarded())
  const one = await raw(url, ['Authorization', `Bearer ${token}`])
  assert.equal(one.status, 200)
  const two = await raw(url, ['Authorization', `Bearer ${token}`, 'authorization', 'Bearer other'])
  assert.deepEqual([two.status, two.body.error], [400, 'invalid_request'])
})

test('a middleware may copy the token from a cookie to the header', async (t) => {
  const fromCookie = (req, res, next) => {
    req.headers.authorization = `Bearer ${req.headers.cookie.split('=')[1]}`
    next()
  }
  const { status } = await fetch(await serve(t, guarded({}, { before: [fromCookie] })), { headers: { cookie: `token=${token}` } })
  assert.equal(status, 200)
})

test('a second token in a parsed form is a bad request', async (t) => {
  const url = await serve(t, guarded({}, { before: [express.urlencoded(), express.json()] }))
  const post = (type, body) => fetch(url, { method: 'POST', body, headers: { ...bearer, 'content-type': type } })
  assert.equal((await post('application/x-www-form-urlencoded', 'a=b&access_token=c')).status, 400)
  assert.equal((await post('application/x-www-form-urlencoded', 'a=access_token')).status, 200)
  assert.equal((await post('application/json', '{"access_token":"c"}')).status, 200)
})

test('a HEAD gets no body, and a CORS preflight does not pass', async (t) => {
  const url = await serve(t, guarded())
  const head = await fetch(url, { method: 'HEAD' })
  assert.deepEqual([head.status, head.headers.get('www-authenticate'), await head.text()], [401, 'Bearer', ''])
  const preflight = await fetch(url, { method: 'OPTIONS', headers: { origin: 'https://app.example' } })
  assert.equal(preflight.status, 401)
})

test('a guard on a route requires only its own scope', async (t) => {
  const app = express()
  app.get('/read', guard(verifier, { scope: 'read' }), (req, res) => res.json(req.auth.claims.sub))
  app.get('/admin', guard(verifier, { scope: ['read', 'admin'] }), (req, res) => res.json(req.auth.claims.sub))
  const url = await serve(t, app)
  assert.equal((await fetch(`${url}/read`, { headers: bearer })).status, 200)
  assert.equal((await fetch(`${url}/admin`, { headers: bearer })).status, 403)
})

test('without keys the response is 503, and only the log has the reason', async (t) => {
  const remote = createVerifier(options([], { jwks: 'https://internal.example/keys', fetch: () => Promise.reject(new Error('down')) }))
  let reason
  const log = (req, res, next) => {
    res.on('finish', () => (reason = res.err))
    next()
  }
  const response = await fetch(await serve(t, guarded({}, { before: [log], verifiers: remote })), { headers: bearer })
  assert.deepEqual([response.status, response.headers.get('retry-after')], [503, '10'])
  assert.doesNotMatch(await response.text(), /internal|keys/)
  assert.equal(reason.code, 'jwks_unavailable')
})

test('a fault of the service goes to the error handler, once', async (t) => {
  const noSet = await createVerifier(options([], { jwks: 'https://auth.example/', fetch: async () => Response.json({}) }))
  const bug = { verify: () => Promise.reject(new TypeError('a bug')) }
  for (const [broken, name] of [[noSet, 'VerifyError'], [bug, 'TypeError'], [{}, 'VerifyError']]) {
    const errors = []
    const app = guarded({}, { verifiers: broken })
    app.use((error, req, res, next) => {
      errors.push(error)
      res.status(500).end('sorry')
    })
    const response = await fetch(await serve(t, app), { headers: bearer })
    assert.deepEqual([response.status, await response.text()], [500, 'sorry'])
    assert.deepEqual(errors.map((error) => error.name), [name])
  }
})

test('the guard does not catch an error of a later handler', async () => {
  const script = `
    import { guard } from 'countersign/express'
    const verifier = { verify: async () => ({ header: {}, payload: {} }) }
    let calls = 0
    process.on('unhandledRejection', () => setImmediate(() => console.log(calls)))
    guard(verifier)({ headers: { authorization: 'Bearer a.b.c' } }, {}, () => {
      calls++
      throw new Error('behind')
    })`
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], { cwd: import.meta.dirname })
  assert.equal(stdout, '1\n')
})

test('a response that has already begun goes to the error handler', async (t) => {
  let failure
  const url = await serve(t, (req, res) => {
    res.end('done')
    guard(verifier)(req, res, (error) => (failure = error))
  })
  assert.equal(await (await fetch(url)).text(), 'done')
  assert.equal(failure?.code, 'ERR_HTTP_HEADERS_SENT')
})

test('the guard works on node:http alone', async (t) => {
  const protect = guard(verifier)
  const url = await serve(t, (req, res) => protect(req, res, () => res.end(req.auth.claims.sub)))
  assert.equal(await (await fetch(url, { headers: bearer })).text(), 'somebody')
  assert.equal((await fetch(url)).status, 401)
})

test('the guard works on node:http2', async (t) => {
  const protect = guard(verifier)
  const server = http2.createServer((req, res) => protect(req, res, () => res.end(req.auth.claims.sub))).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const client = http2.connect(`http://127.0.0.1:${server.address().port}`)
  t.after(() => (client.close(), server.close()))
  const get = async (headers) => {
    const stream = client.request(headers)
    const [answer] = await once(stream, 'response')
    stream.resume()
    return answer[':status']
  }
  assert.equal(await get(bearer), 200)
  assert.equal(await get({}), 401)
})

test('wrong options are refused when the middleware is made', () => {
  assert.throws(() => guard(verifier, { scopes: 'read' }), (error) => error instanceof VerifyError && /did you mean scope\?/.test(error.message))
  assert.throws(() => guard(verifier, { scope: '' }), { code: 'options_invalid' })
})

test('an expired token is refused by the verifier\'s clock', async (t) => {
  const url = await serve(t, guarded())
  const { status, body } = await raw(url, ['authorization', `Bearer ${makeToken(key, claims({ exp: NOW }))}`])
  assert.deepEqual([status, body.error], [401, 'invalid_token'])
  assert.match(body.error_description, /^the token expired 0 s ago/)
})
