// The example edge-gateway: which requests reach the origin, and how the others are refused. In workerd, with raw requests.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { request as httpRequest } from 'node:http'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { Miniflare } from 'miniflare'
import { claimsFromGateway } from '../../pkg/examples/edge-gateway/origin/gateway.js'
import { endpoint, key } from '../js/package-endpoint.js'
import { AUDIENCE, claims, ISSUER, makeKey, makeToken } from '../js/package-tokens.js'
import { freePort } from '../js/support/issuer.js'
import { EXAMPLES } from './example.js'
import { bearer, bundleGateway, startGateway, startOrigin, until, variables } from './gateway.js'

const LIMIT = { timeout: 60_000 }
const SECRET = 'a secret for tests alone, of 32 characters or more'
const OTHER_SECRET = 'another secret for tests alone, just as long'
const ROUTES = [
  { path: '/', public: true },
  { path: '/public/*', public: true },
  { path: '/admin/*', scope: 'admin' },
  { path: '/notes', methods: ['GET', 'POST'], claims: { sub: 'x-verified-sub' } },
  { path: '/files/*', methods: ['GET'], scope: 'read' },
  { path: '/files/*', methods: ['PUT'], scope: 'write' },
  { path: '/files/shared/*', public: true },
  { path: '/files/shared', scope: 'admin' },
]

let bundled

before(async () => {
  bundled = await bundleGateway()
})
after(() => bundled?.remove())

const now = () => Math.floor(Date.now() / 1000)
const tokenWith = (changes, header) => makeToken(key, claims({ iat: now(), exp: now() + 900, scope: 'read', ...changes }), header)

/** Starts an origin and a gateway before it, with the keys of the tests and these settings. */
async function start(t, settings = {}) {
  const keys = await endpoint(t)
  const origin = await startOrigin(t)
  const given = { ISSUER, AUDIENCE, ORIGIN: origin.url, ROUTES, VERIFIER: { jwks: keys.url }, ...settings }
  return { origin, keys, ...(await startGateway(t, bundled.worker, given)) }
}

/** Checks that the response refuses the request. Returns the line of the log, which must say so. */
async function assertRefused({ status, headers, text }, logged, expected) {
  assert.deepEqual([status, JSON.parse(text).error], [expected.status, expected.error ?? expected.code], text)
  assert.equal(headers['cache-control'], 'no-store')
  const line = await logged()
  assert.deepEqual([line.event, line.status, line.code], ['refused', status, expected.code])
  return line
}

test('the settings of wrangler.jsonc are good, and each row admits its own methods and scopes', LIMIT, async (t) => {
  const { ROUTES } = await variables()
  const { origin, send } = await start(t, { ROUTES })
  const [reader, writer] = ['read', 'write'].map((scope) => bearer(tokenWith({ scope, client_id: 'client' })))
  const cases = [
    ['GET', '/', {}, 200],
    ['HEAD', '/assets/style.css', {}, 200],
    ['POST', '/', {}, 405],
    ['GET', '/other', {}, 404],
    ['GET', '/notes', {}, 401],
    ['GET', '/notes', reader, 200],
    ['GET', '/notes/1', writer, 403],
    ['POST', '/notes', reader, 403],
    ['POST', '/notes', writer, 200],
    ['PATCH', '/notes', writer, 405],
  ]
  for (const [method, path, headers, status] of cases) {
    const forwarded = origin.requests.length + (status === 200 ? 1 : 0)
    assert.equal((await send({ method, path, headers })).status, status, `${method} ${path}`)
    assert.equal(origin.requests.length, forwarded, `${method} ${path}`)
  }
  assert.equal((await send({ method: 'PATCH', path: '/notes' })).headers.allow, 'GET, HEAD, POST, PUT, DELETE')
  const { 'x-verified-sub': sub, 'x-verified-client': client, authorization } = origin.requests.at(-1).headers
  assert.deepEqual([sub, client, authorization], ['somebody', 'client', undefined])
})

test('no way to write a path gets past its route', LIMIT, async (t) => {
  const { origin, send, logged } = await start(t)
  const forwarded = [
    ['/public', '/public'],
    ['/public/', '/public/'],
    ['/.', '/'],
    ['/public/a?x=/admin/../y&z=%2e%2e', '/public/a?x=/admin/../y&z=%2e%2e'],
    ['/admin/../public/a', '/public/a'],
    ['/%70ublic/%61', '/public/a'],
    ['//public///a', '/public/a'],
    ['/files/shared/a', '/files/shared/a'],
    ['/public/a%2fb', '/public/a%2Fb'],
    ['/public/who%3f%23/...x.%20.', '/public/who%3F%23/...x.%20.'],
    ['/public/Stra%c3%9fe%20;x=1', '/public/Stra%C3%9Fe%20;x=1'],
  ]
  for (const [path, url] of forwarded) {
    assert.deepEqual([path, (await send({ path })).text], [path, url])
    assert.equal(origin.requests.at(-1).url, url)
  }
  const { length } = origin.requests
  const refused = {
    // To these, the route of /admin applies.
    unauthorized: [
      '/admin', '/admin/x', '//admin/x', '/%61dmin/x', '/public/../admin/x', '/public/%2e%2e/admin/x', '/public/.%2E/admin/x',
      '/public/./%2e./admin', '/public\\..\\admin/x', '/public/a#/../../admin/x', '/files/shared', '/files/sharedx',
    ],
    path_ambiguous: [
      '/Admin/x', '/ADMIN', '/admin;x=1/y', '/admin%3bx/y', '/admin./x', '/admin%20/x', '/%20admin', '/admin%2fx', '/admin%5cx',
      '/%61dmin%2Fx',
      '/%ef%bd%81dmin/x', '/admin%ef%bc%8fx', '/adm%c4%b1n/x', '/adm%c4%b0n', '/file%c5%bf/x', '/Public/x', '/files/shared/',
      '/public;/x', '/notes/', '/notes;x', '/NOTES', '/notes%3f', '/notes%3fx/y', '/notes%23', '/files/shared%3f/x',
    ],
    path_invalid: [
      '/public/..%2fadmin/x', '/public/%2e%2e%2fadmin', '/public/..%5cadmin', '/public/..;/admin/x', '/public/.;x/admin',
      '/public/..%20./admin', '/public/%20../admin',
      '/public/%252e%252e/admin', '/public/%252e%252e%252fadmin', '/%2561dmin', '/public/%c0%ae%c0%ae/admin',
      '/public/..%3f', '/public/%3f/..%2f..%2fadmin', '/public/%e2%80%a5/admin', '/public/%00', '/public/a%0d%0ax', '/public/%zz', '/public/%',
    ],
    route_unknown: ['/publicity', '/other', '/notes/1', '/public/../../x', '/x/public/a'],
  }
  for (const [code, paths] of Object.entries(refused)) {
    const status = { unauthorized: 401, route_unknown: 404 }[code] ?? 400
    for (const path of paths) {
      assert.deepEqual([path, (await send({ path })).status], [path, status])
      assert.deepEqual([path, (await logged()).code], [path, code])
    }
  }
  assert.equal(origin.requests.length, length)
})

test('long segments of dots and spaces take no longer than others', LIMIT, async (t) => {
  const { send } = await start(t)
  // If their time were quadratic, these would take longer than the time limit of the test.
  for (let count = 0; count < 300; count++) assert.equal((await send({ path: `/other/${'.%20'.repeat(14_000)}x` })).status, 404)
})

test('headers by which a client could pose as the gateway are dropped', LIMIT, async (t) => {
  const { origin, send } = await start(t)
  const forged = {
    'X-Verified-Sub': 'root',
    'x-verified-admin': 'yes',
    X_Verified_Sub: 'root',
    'x-verified_sub': 'root',
    'x.verified.sub': 'root',
    'x-verified.sub': 'root',
    'x~verified!sub': 'root',
    'x-original-url': '/admin/x',
    'x-rewrite-url': '/admin/x',
    'X-HTTP-Method-Override': 'DELETE',
    'x-http-method': 'DELETE',
    'x-method-override': 'DELETE',
    x_http_method_override: 'DELETE',
    'x-http-method.override': 'DELETE',
    signature: 'gateway=:AAAA:',
    'signature-input': 'gateway=()',
    forwarded: 'host=evil.example',
    'x-forwarded-host': 'evil.example',
    'x-forwarded-proto': 'gopher',
    'x-forwarded-port': '1',
    'x-forwarded-prefix': '//evil.example',
    'x-forwarded-uri': '/admin/x',
    x_forwarded_for: '192.0.2.2',
    'x-forwarded-for': '192.0.2.1',
    // Without this, the origin's own proxy would drop the claim.
    connection: 'X-Verified-Sub, X-Secret, close',
    'x-secret': 'for the neighbour',
    te: 'trailers',
    'proxy-authorization': 'Basic AAAA',
    'x-other': 'stays',
    'x-veri-fied': 'stays',
  }
  for (const path of ['/notes', '/public/a']) {
    await send({ path, headers: { ...forged, host: 'site.example', ...bearer(tokenWith()) } })
    const { headers } = origin.requests.at(-1)
    const names = Object.keys(headers).filter((name) => /verif|^x|signature|forwarded|te$|^proxy/.test(name)).sort()
    const claim = path === '/notes' ? ['x-verified-sub'] : []
    assert.deepEqual(names, ['x-forwarded-for', 'x-forwarded-host', 'x-forwarded-proto', 'x-other', 'x-veri-fied', ...claim].sort())
    assert.deepEqual([headers['x-forwarded-host'], headers['x-forwarded-proto']], ['site.example', 'http'])
    assert.equal(headers['x-verified-sub'], claim.length === 0 ? undefined : 'somebody')
    assert.equal(headers.authorization !== undefined, path === '/public/a')
    assert.doesNotMatch(headers.connection ?? '', /verified|secret/i)
    // The runtime writes this if the request must pass its cache.
    assert.equal(headers.pragma, path === '/notes' ? 'no-cache' : undefined)
  }
})

test('no claim can split a header, and each arrives as it is', LIMIT, async (t) => {
  const wanted = {
    sub: 'x-verified-sub',
    roles: 'x-verified-roles',
    constructor: 'x-verified-constructor',
    'https://ns.example/a': 'x-verified-a',
  }
  const { origin, send } = await start(t, { ROUTES: [{ path: '/notes', claims: wanted }] })
  const texts = [
    'Zoë 🎉 名前', 'a\r\nx-verified-roles: admin', 'a\nb', '\r\n\r\n', '\0', ' a ', '\t', '', 'a, b', '%0d%0a', '"\\',
    '\u2028\u0085', '\ufeff', 'é'.repeat(2000),
  ]
  for (const sub of texts) {
    await send({ path: '/notes', headers: bearer(tokenWith({ sub })) })
    const headers = Object.entries(origin.requests.at(-1).headers).filter(([name]) => name.startsWith('x-verified-'))
    assert.deepEqual(headers.map(([name, value]) => [name, decodeURIComponent(value)]), [['x-verified-sub', sub]])
  }
  const others = [['admin', 'a,b'], { a: 'é\n' }, 5, true, null]
  for (const roles of others) {
    await send({ path: '/notes', headers: bearer(tokenWith({ roles, 'https://ns.example/a': 'x' })) })
    const { 'x-verified-roles': value, 'x-verified-a': a, 'x-verified-constructor': constructor } = origin.requests.at(-1).headers
    assert.match(value, /^[\x21-\x7e]+$/)
    assert.deepEqual([JSON.parse(decodeURIComponent(value)), a, constructor], [roles, 'x', undefined])
  }
})

test('the origin accepts only requests that the gateway signed for it', LIMIT, async (t) => {
  const claims = { sub: 'x-verified-sub', scope: 'x-verified-scope', email: 'x-verified-email' }
  const { origin, send } = await start(t, { SIGNING_KEY: SECRET, ROUTES: [...ROUTES, { path: '/several', claims }] })
  const options = { secrets: [OTHER_SECRET, SECRET], origin: origin.url }
  const last = () => {
    const { method, url, headers } = origin.requests.at(-1)
    return { method, url, headers }
  }
  await send({ path: '/notes?a=b?c&d', headers: bearer(tokenWith({ sub: 'Zoë' })) })
  const good = last()
  assert.deepEqual(claimsFromGateway(good, options), { 'x-verified-sub': 'Zoë' })
  assert.deepEqual(claimsFromGateway({ ...good, originalUrl: good.url, url: '/' }, options), { 'x-verified-sub': 'Zoë' })
  await send({ path: '/public/a%2fb', method: 'POST', body: 'hello' })
  assert.deepEqual(claimsFromGateway(last(), options), {})
  await send({ path: '/several', headers: bearer(tokenWith()) })
  assert.deepEqual(claimsFromGateway(last(), options), { 'x-verified-scope': 'read', 'x-verified-sub': 'somebody' })

  const without = (name) => Object.fromEntries(Object.entries(good.headers).filter(([other]) => other !== name))
  const replaced = (name, text, by) => ({ ...good.headers, [name]: good.headers[name].replace(text, by) })
  const created = Number(/created=(\d+)/.exec(good.headers['signature-input'])[1])
  const bad = [
    { ...good, method: 'DELETE' },
    { ...good, url: '/admin?a=b?c&d' },
    { ...good, url: '/notes?a=c' },
    { ...good, url: '/notes' },
    { ...good, headers: { ...good.headers, 'x-verified-sub': 'root' } },
    { ...good, headers: { ...good.headers, 'x-verified-admin': 'yes' } },
    { ...good, headers: without('x-verified-sub') },
    { ...good, headers: without('signature') },
    { ...good, headers: without('signature-input') },
    { ...good, headers: replaced('signature-input', ' "x-verified-sub"', '') },
    { ...good, headers: replaced('signature-input', created, created + 1) },
    { ...good, headers: replaced('signature-input', 'gateway=', 'other=') },
    { ...good, headers: { ...good.headers, signature: 'gateway=::' } },
  ]
  for (const request of bad) assert.equal(claimsFromGateway(request, options), undefined)
  assert.equal(claimsFromGateway(good, { ...options, origin: 'https://other.example' }), undefined)
  assert.equal(claimsFromGateway(good, { ...options, secrets: [OTHER_SECRET] }), undefined)
  assert.equal(claimsFromGateway(good, { ...options, secrets: [] }), undefined)
  assert.throws(() => claimsFromGateway(good, { ...options, secrets: [SECRET, ''] }), TypeError)
  t.mock.timers.enable({ apis: ['Date'], now: (created + 61) * 1000 })
  assert.equal(claimsFromGateway(good, options), undefined)
  assert.deepEqual(claimsFromGateway(good, { ...options, maxAge: 62 }), { 'x-verified-sub': 'Zoë' })
})

test('the origin of the README answers requests of the gateway alone', LIMIT, async (t) => {
  const folder = join(EXAMPLES, 'edge-gateway')
  const port = await freePort()
  const ORIGIN = `http://127.0.0.1:${port}`
  const [, code] = /```js\n(.*?createServer.*?)```/s.exec(await readFile(join(folder, 'README.md'), 'utf8'))
  const program = code.replace('./gateway.js', pathToFileURL(join(folder, 'origin/gateway.js')).href)
    .replace('https://origin.example', ORIGIN).replace('8000', port)
  const env = { ...process.env, SIGNING_KEY: SECRET }
  const child = spawn(process.execPath, ['--input-type=module', '--eval', program], { env, stdio: 'inherit' })
  t.after(() => child.kill())
  await until(() => fetch(ORIGIN).then(() => true, () => false))
  const { send } = await start(t, { ORIGIN, SIGNING_KEY: SECRET })
  assert.equal((await send({ path: '/notes', headers: bearer(tokenWith()) })).text, 'hello somebody')
  assert.equal((await fetch(`${ORIGIN}/notes`, { headers: { 'x-verified-sub': 'somebody' } })).status, 403)
})

test('a refused request gets a page or JSON, and one line in the log without the token', LIMIT, async (t) => {
  const { origin, send, logged } = await start(t)
  const token = tokenWith()
  const headers = bearer(token)
  const forged = bearer(makeToken(makeKey('k1'), claims()))
  const expired = bearer(tokenWith({ exp: 1 }))
  const invalid = { status: 401, error: 'invalid_token' }
  const insufficient = { status: 403, error: 'insufficient_scope', code: 'scope_insufficient' }
  const cases = [
    [{ path: '/notes' }, { status: 401, code: 'unauthorized' }, /^Bearer$/],
    [{ path: '/notes', headers: forged }, { ...invalid, code: 'signature_invalid' }, /error="invalid_token"/],
    [{ path: '/notes', headers: expired }, { ...invalid, code: 'token_expired' }, /error="invalid_token"/],
    [{ path: '/admin/x', headers }, insufficient, /error="insufficient_scope".*scope="admin"/],
    [{ path: `/notes?access_token=${token}`, headers }, { status: 400, code: 'invalid_request' }, /error="invalid_request"/],
    [{ path: `/${token}` }, { status: 404, code: 'route_unknown' }],
    [{ path: '/notes', method: 'DELETE', headers }, { status: 405, code: 'method_not_allowed' }],
  ]
  const lines = []
  for (const [request, expected, challenge = /^$/] of cases) {
    const refused = await send(request)
    lines.push(await assertRefused(refused, logged, expected))
    assert.match(refused.headers['www-authenticate'] ?? '', challenge)
    const accept = 'text/html,application/xhtml+xml,*/*;q=0.8'
    const page = await send({ ...request, headers: { ...request.headers, accept } })
    assert.deepEqual([page.status, page.headers['content-type']], [expected.status, 'text/html; charset=utf-8'])
    assert.equal(page.headers['www-authenticate'], refused.headers['www-authenticate'])
    assert.match(page.text, /<h1>.+<\/h1>/)
    assert.match(page.headers['content-security-policy'], /default-src 'none'/)
    lines.push(await logged())
  }
  for (const part of token.split('.')) assert.ok(!JSON.stringify(lines).includes(part))
  assert.equal(origin.requests.length, 0)

  const pages = {
    'text/html': true,
    'TEXT/HTML;q=0.5, application/json;q=0.1': true,
    'text/html;q=0.5, application/json': false,
    'text/html;q=0': false,
    'text/*': false,
    '*/*': false,
    '': false,
  }
  for (const [accept, isPage] of Object.entries(pages)) {
    const { headers, text } = await send({ path: '/notes', headers: { accept } })
    assert.deepEqual([accept, headers['content-type'].startsWith('text/html'), headers.vary], [accept, isPage, 'Accept'])
    assert.equal(text.startsWith('<!doctype html>'), isPage)
  }
})

test('a refused HEAD gets no body, and the same line in the log', LIMIT, async (t) => {
  const { send, logged } = await start(t, { ROUTES: [{ path: '/notes', methods: ['GET'] }] })
  const cases = [
    [{}, 401, 'unauthorized', 'Bearer'],
    [{ path: '/notes?access_token=a', headers: bearer(tokenWith()) }, 400, 'invalid_request', /^Bearer error="invalid_request"/],
    [{ headers: bearer(tokenWith({ exp: 1 })) }, 401, 'token_expired', /^Bearer error="invalid_token"/],
  ]
  for (const [request, status, code, challenge] of cases) {
    const { headers, text, ...refused } = await send({ method: 'HEAD', path: '/notes', ...request })
    assert.deepEqual([refused.status, text, (await logged()).code], [status, '', code])
    assert.match(headers['www-authenticate'], new RegExp(challenge))
  }
})

test('a page of a refusal holds nothing of the request', LIMIT, async (t) => {
  const { send } = await start(t)
  const { text } = await send({ path: '/<script>alert(1)</script>', headers: { accept: 'text/html' } })
  assert.doesNotMatch(text, /script/)
})

/** The headers of a response that begin so. */
const headersLike = (headers, prefix) => Object.fromEntries(Object.entries(headers).filter(([name]) => name.startsWith(prefix)))

test('CORS preflights are answered for the listed origins and the methods of a route', LIMIT, async (t) => {
  const page = 'https://app.example'
  const { origin, send, logged } = await start(t, { CORS: { origins: [page], headers: ['content-type', 'x-own'] } })
  const preflight = (path, method, from = page) => {
    return send({ method: 'OPTIONS', path, headers: { origin: from, 'access-control-request-method': method } })
  }
  const answered = await preflight('/files/a', 'PUT')
  assert.deepEqual([answered.status, answered.headers.vary], [204, 'Origin'])
  assert.deepEqual(headersLike(answered.headers, 'access-control'), {
    'access-control-allow-origin': page,
    'access-control-allow-methods': 'PUT',
    'access-control-allow-headers': 'authorization, content-type, x-own',
    'access-control-max-age': '600',
  })
  await assertRefused(await preflight('/files/a', 'DELETE'), logged, { status: 405, code: 'method_not_allowed' })
  await assertRefused(await preflight('/other', 'GET'), logged, { status: 404, code: 'route_unknown' })
  const stranger = await preflight('/files/a', 'PUT', 'https://app.example.evil')
  await assertRefused(stranger, logged, { status: 403, code: 'origin_not_allowed' })
  assert.deepEqual(headersLike(stranger.headers, 'access-control-allow'), {})
  assert.equal(origin.requests.length, 0)

  const own = { 'access-control-allow-origin': '*', 'access-control-allow-credentials': 'true', vary: 'Cookie' }
  origin.answer = (request, response) => response.writeHead(200, own).end()
  const readable = { 'access-control-allow-origin': page, 'access-control-expose-headers': 'WWW-Authenticate' }
  const passed = await send({ path: '/files/a', headers: { origin: page, ...bearer(tokenWith()) } })
  assert.deepEqual([passed.status, passed.headers.vary], [200, 'Cookie, Origin'])
  assert.deepEqual(headersLike(passed.headers, 'access-control'), readable)
  const refused = await send({ path: '/files/a', headers: { origin: page } })
  assert.deepEqual([refused.status, headersLike(refused.headers, 'access-control')], [401, readable])
  const other = await send({ path: '/files/a', headers: { origin: 'null', ...bearer(tokenWith()) } })
  assert.deepEqual(headersLike(other.headers, 'access-control-allow'), {})
})

test('CORS preflights are passed to the origin by the setting, and are refused without one', LIMIT, async (t) => {
  const headers = { origin: 'https://app.example', 'access-control-request-method': 'PUT', 'x-verified-sub': 'root' }
  const passing = await start(t, { CORS: 'pass' })
  passing.origin.answer = (request, response) => response.writeHead(204, { 'access-control-allow-origin': '*' }).end()
  const answered = await passing.send({ method: 'OPTIONS', path: '/files/a', headers })
  assert.deepEqual([answered.status, answered.headers['access-control-allow-origin']], [204, '*'])
  const [{ method, url, headers: forwarded }] = passing.origin.requests
  assert.deepEqual([method, url, forwarded['x-verified-sub']], ['OPTIONS', '/files/a', undefined])
  assert.equal((await passing.send({ method: 'OPTIONS', path: '/other', headers })).status, 404)
  assert.equal((await passing.send({ method: 'OPTIONS', path: '/files/a' })).status, 405)
  assert.equal((await passing.send({ method: 'OPTIONS', path: '/admin', headers: { origin: 'https://app.example' } })).status, 401)

  const { send, logged, origin } = await start(t)
  const refused = await send({ method: 'OPTIONS', path: '/files/a', headers })
  await assertRefused(refused, logged, { status: 405, code: 'method_not_allowed' })
  assert.equal(origin.requests.length, 0)
})

test('the origin\'s answers pass unchanged, and an origin that is away is no fault of the token', LIMIT, async (t) => {
  const { origin, send, logged } = await start(t)
  const headers = bearer(tokenWith())
  const answers = [
    [401, { 'www-authenticate': 'Basic realm="origin"' }, 'who are you?'],
    [403, {}, 'no'],
    [500, {}, 'broken'],
    [503, { 'retry-after': '7' }, 'busy'],
    [302, { location: 'https://elsewhere.example/' }, ''],
    [404, {}, 'none'],
  ]
  for (const [status, own, body] of answers) {
    origin.answer = (request, response) => response.writeHead(status, own).end(body)
    const answer = await send({ path: '/notes', headers })
    assert.deepEqual([answer.status, answer.text], [status, body])
    for (const [name, value] of Object.entries(own)) assert.equal(answer.headers[name], value)
  }
  origin.answer = (request, response) => response.destroy()
  await assertRefused(await send({ path: '/notes', headers }), logged, { status: 502, code: 'origin_unreachable' })
})

test('bodies stream both ways', LIMIT, async (t) => {
  const { origin, url } = await start(t)
  origin.answer = (request, response) => {
    response.flushHeaders()
    request.pipe(response)
  }
  const headers = { ...bearer(tokenWith()), 'content-type': 'text/plain' }
  const request = httpRequest(new URL('/notes', url), { method: 'POST', headers })
  request.write('one')
  const [response] = await once(request, 'response')
  // The origin answers each part before the next one is sent.
  assert.equal(String((await once(response, 'data'))[0]), 'one')
  request.end('two')
  assert.equal(String((await once(response, 'data'))[0]), 'two')
})

test('a body of a known length keeps it, and a form arrives whole', LIMIT, async (t) => {
  const { origin, send } = await start(t)
  origin.answer = (request, response) => request.pipe(response)
  const body = `a=${'b'.repeat(200_000)}`
  const post = (body) => {
    const own = { 'content-type': 'application/x-www-form-urlencoded', 'content-length': String(body.length) }
    return send({ method: 'POST', path: '/notes', headers: { ...bearer(tokenWith()), ...own }, body })
  }
  assert.equal((await post(body)).text, body)
  assert.equal(origin.requests.at(-1).headers['content-length'], String(body.length))
  assert.equal((await post('access_token=a')).status, 400)
})

test('a WebSocket passes, with a good token alone', LIMIT, async (t) => {
  const script = `export default {
    fetch(request) {
      if (request.headers.get('upgrade') !== 'websocket') return new Response('no WebSocket', { status: 426 })
      const [client, server] = Object.values(new WebSocketPair())
      server.accept()
      server.addEventListener('message', ({ data }) => server.send(request.headers.get('x-verified-sub') + ': ' + data))
      return new Response(null, { status: 101, webSocket: client })
    },
  }`
  const echo = new Miniflare({ modules: true, script, cf: false, compatibilityDate: '2026-04-01' })
  t.after(() => echo.dispose())
  const { dispatch } = await start(t, { ORIGIN: (await echo.ready).origin, CORS: { origins: ['https://app.example'] } })
  const open = (headers) => dispatch('http://gateway/notes', { headers: { Upgrade: 'websocket', ...headers } })
  assert.equal((await open({})).status, 401)
  const { status, webSocket } = await open(bearer(tokenWith()))
  assert.equal(status, 101)
  webSocket.accept()
  webSocket.send('hello')
  const [{ data }] = await once(webSocket, 'message')
  assert.equal(data, 'somebody: hello')
  webSocket.close()
})

/** Starts a gateway without settings. Its `send` takes the settings for one request. */
async function startWithSettings(t) {
  const scriptPath = join(bundled.worker, 'with-settings.js')
  const script = `import gateway from './index.js'
    export default { fetch: async (request) => gateway.fetch(new Request('http://gateway/'), await request.json()) }`
  await writeFile(scriptPath, script)
  const modulesRules = [{ type: 'ESModule', include: ['**/*.js'] }, { type: 'CompiledWasm', include: ['**/*.wasm'] }]
  const { send, logged } = await startGateway(t, bundled.worker, {}, { scriptPath, modulesRules })
  return { send: (settings) => send({ method: 'POST', body: JSON.stringify(settings) }), logged }
}

test('a wrong setting refuses every request, and the log names it', LIMIT, async (t) => {
  const route = { path: '/', public: true }
  const wrong = {
    ORIGIN: [undefined, 'http://origin.example', 'https://origin.example/', 'https://origin.example/path'],
    SIGNING_KEY: ['short'],
    REFRESH_SECONDS: [0, 'often'],
    ROUTES: [undefined, [], {}],
    'ROUTES[0]': [[{ ...route, scopes: 'read' }]],
    'ROUTES[0].path': ['notes', '/a b', '/a/', '/*/a', '/a//b', '/../a', undefined].map((path) => [{ path }]),
    'ROUTES[0].public': [{ scope: 'read' }, { claims: { sub: 'x-verified-sub' } }, { public: 'yes' }].map(
      (members) => [{ ...route, ...members }],
    ),
    'ROUTES[0].scope': [[{ path: '/', scope: '' }], [{ path: '/', scope: ['read'] }]],
    'ROUTES[0].claims': [{ sub: 'x-user' }, { sub: 'x-verified-a', name: 'x-verified-a' }, { sub: 'X-Verified-Sub' }, ['sub']].map(
      (claims) => [{ path: '/', claims }],
    ),
    'ROUTES[0].methods': ['GET', [], ['get']].map((methods) => [{ path: '/', methods }]),
    'ROUTES[1].methods': [[route, route], [route, { path: '/', methods: ['GET'] }]],
    'ROUTES[1].path': [[{ path: '/notes' }, { path: '/Notes' }]],
    CORS: ['*', { origins: ['https://app.example'], credentials: true }],
    'CORS.origins': [{}, { origins: [] }],
    'CORS.origins[0]': [{ origins: ['*'] }],
    'CORS.headers': [{ origins: ['https://app.example'], headers: ['a b'] }],
  }
  const right = { ISSUER, AUDIENCE, ORIGIN: 'https://origin.example', ROUTES: [route] }
  const { send, logged } = await startWithSettings(t)
  for (const [name, values] of Object.entries(wrong)) {
    for (const value of values) {
      const setting = name.split(/[[.]/, 1)[0]
      const refused = await send({ ...right, [setting]: value })
      const { reason } = await assertRefused(refused, logged, { status: 500, code: 'settings_invalid' })
      assert.ok(reason.startsWith(`the setting ${name} is missing or wrong: expected `), reason)
      assert.ok(!reason.includes('short'))
    }
  }
})

test('a wrong option of the verifier is no fault of the token', LIMIT, async (t) => {
  for (const settings of [{ VERIFIER: { audiense: 'api' } }, { STATUS: { maxStale: -1 } }, { ISSUER: '' }]) {
    const { send, logged } = await start(t, settings)
    const refused = await send({ path: '/notes', headers: bearer(tokenWith()) })
    await assertRefused(refused, logged, { status: 500, code: 'settings_invalid' })
  }
})
