import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, test } from 'node:test'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { createDemoServer } from '../../www/server.js'
import { freePort } from './support/issuer.js'

const SERVER = fileURLToPath(new URL('../../www/server.js', import.meta.url))
const KEY = { kid: 'k1', state: 'active', created_at: 1, activates_at: 1, retires_at: null, drops_at: null, bits: 2048 }
const PLAN = {
  now: 2,
  publish_lead: 390,
  drop_lag: 1290,
  rotation_period: 3600,
  access_ttl: 900,
  jwks_max_age: 300,
  clock_skew: 60,
  keys: [{ kid: 'k1', created_at: 1, activates_at: 1, retires_at: 3601, drops_at: 4891 }],
}
const DEMO = {
  issuer: 'http://127.0.0.1:8080',
  audience: 'api',
  username: 'demo',
  password: 'not a secret: for tests alone',
  keysCommand: printing(JSON.stringify([{ ...KEY, more: 'stays on the server' }])),
  planCommand: printing(JSON.stringify({ ...PLAN, keys: [{ ...PLAN.keys[0], more: 'stays on the server' }], more: 'stays, too' })),
}

let folder, server, port

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'countersign-demo-'))
  server = await createDemoServer(DEMO)
  port = await listen(server)
})

after(async () => {
  server?.close()
  await rm(folder, { recursive: true })
})

test('every response has the strict policy', async () => {
  for (const path of ['/', '/try-with-issuer.js', '/style.css', '/demo.json', '/countersign/browser.js', '/no-such-file']) {
    const { headers } = await get(path)
    assert.equal(
      headers['content-security-policy'],
      "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self'; " +
        "connect-src 'self' http://127.0.0.1:8080; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
      path,
    )
    assert.equal(headers['x-content-type-options'], 'nosniff', path)
    assert.equal(headers['referrer-policy'], 'no-referrer', path)
  }
})

test('each file has its content type', async () => {
  for (const [path, type] of [
    ['/', 'text/html'],
    ['/style.css', 'text/css'],
    ['/try-with-issuer.js', 'text/javascript'],
    ['/favicon.svg', 'image/svg+xml'],
    ['/countersign/browser.js', 'text/javascript'],
    ['/countersign/session.js', 'text/javascript'],
    ['/countersign/wasm/countersign.wasm', 'application/wasm'],
  ]) {
    const { status, headers } = await get(path)
    assert.equal(status, 200, path)
    assert.match(headers['content-type'], new RegExp(`^${type.replace('+', '\\+')}`), path)
  }
})

test('the imports of countersign are resolved in the page’s modules', async () => {
  const { body } = await get('/try-with-issuer.js')
  assert.match(body, /from '\.\/countersign\/browser\.js'/)
  assert.match(body, /from '\.\/countersign\/session\.js'/)
  assert.doesNotMatch(body, /from 'countersign/)
})

test('demo.json has the demo user, but not the commands', async () => {
  const { keysCommand, planCommand, ...told } = DEMO
  assert.deepEqual(JSON.parse((await get('/demo.json')).body), told)
})

test('keys.json and plan.json have only the known members of the commands’ output', async () => {
  assert.deepEqual(JSON.parse((await get('/keys.json')).body), [KEY])
  assert.deepEqual(JSON.parse((await get('/plan.json')).body), PLAN)
})

test('only the page with frames may have them, of the site, and only its frames may be framed', async () => {
  const policy = async (path) => (await get(path)).headers['content-security-policy']
  assert.match(await policy('/sessions.html'), /; frame-src 'self'.*; frame-ancestors 'none'$/)
  assert.match(await policy('/sessions-tab.html'), /; frame-ancestors 'self'$/)
  assert.doesNotMatch(await policy('/sessions-tab.html'), /frame-src/)
})

test('a command that fails, or prints anything else, is answered with 503 without the reason', async () => {
  for (const keysCommand of [printing('not JSON'), printing('{}'), [process.execPath, '-e', 'console.error("inner"); process.exit(3)'], ['/no/such/program']]) {
    const failing = await createDemoServer({ ...DEMO, keysCommand, planCommand: keysCommand })
    const at = await listen(failing)
    const answers = [await get('/keys.json', {}, at), await get('/plan.json', {}, at)]
    failing.close()
    for (const { status, body } of answers) {
      assert.equal(status, 503)
      assert.deepEqual(JSON.parse(body), { error: 'temporarily_unavailable', error_description: 'the issuer did not list its keys' })
    }
  }
})

test('a request with a foreign host name, or an address, is redirected, and gets no content', async () => {
  for (const host of ['rebound.example', '127.0.0.1']) {
    const { status, headers, body } = await get('/demo.json', { host: `${host}:${port}` })
    assert.equal(status, 307)
    assert.equal(headers.location, `http://localhost:${port}/`)
    assert.ok(!body.includes(DEMO.password))
  }
})

test('only files of the page and the package are served', async () => {
  for (const path of ['/server.js', '/../server.js', '/%2e%2e/server.js', '/countersign/../../package.json', '/countersign/%2e%2e/package.json', '/..%2fserver.js', '//etc/passwd']) {
    assert.equal((await get(path)).status, 404, path)
  }
})

test('other methods are refused', async () => {
  const { status, headers } = await get('/demo.json', {}, port, 'POST')
  assert.equal(status, 405)
  assert.equal(headers.allow, 'GET, HEAD')
})

for (const [what, demo, expected] of [
  ['no object', [], /must hold one JSON object/],
  ['a missing member', { ...DEMO, audience: undefined }, /"audience" must be a string/],
  ['an issuer that is no URL', { ...DEMO, issuer: 'nowhere' }, /"issuer" must be an http or https URL/],
  ['an issuer of another scheme', { ...DEMO, issuer: 'file:///etc' }, /"issuer" must be an http or https URL/],
  ['a command that is one string', { ...DEMO, keysCommand: 'keys list' }, /"keysCommand" must be a list of strings/],
]) {
  test(`a demo file with ${what} is refused`, () => assert.rejects(createDemoServer(demo), expected))
}

test('the error for a package that is not built says how to build it', () =>
  assert.rejects(createDemoServer(DEMO, { dist: pathToFileURL(`${folder}/`) }), /not built: run `cargo xtask build`/))

test('a usage error is one line', async () => {
  const demo = await write('demo.json', JSON.stringify(DEMO))
  const taken = createServer()
  const takenPort = await listen(taken)
  for (const [args, expected] of [
    [[], /--demo is missing/],
    [['--demo', join(folder, 'none.json')], /cannot be read \(ENOENT\)/],
    [['--demo', await write('broken.json', '{')], /is not JSON/],
    [['--demo', await write('empty.json', '{}')], /"issuer" must be a string/],
    [['--demo', demo, '--listen', '8000'], /--listen expects ADDRESS:PORT/],
    [['--demo', demo, '--listen', '127.0.0.1:99999'], /--listen expects ADDRESS:PORT/],
    [['--demo', demo, '--listen', `127.0.0.1:${takenPort}`], /is taken/],
    [['--demo', demo, '--lissen', '127.0.0.1:0'], /--lissen/],
  ]) {
    const { code, stderr } = await runServer(args)
    assert.equal(code, 1, args.join(' '))
    assert.match(stderr, expected)
    assert.equal(stderr.trimEnd().split('\n').length, 1, stderr)
  }
  taken.close()
})

test('the server prints its address once it listens, and stops cleanly', async () => {
  const demo = await write('demo.json', JSON.stringify(DEMO))
  for (const signal of ['SIGINT', 'SIGTERM']) {
    const at = await freePort()
    const child = spawn(process.execPath, [SERVER, '--demo', demo, '--listen', `127.0.0.1:${at}`])
    const [line] = await once(createInterface({ input: child.stdout }), 'line')
    assert.equal(line, `demo page at http://localhost:${at}`)
    assert.equal((await get('/', {}, at)).status, 200)
    child.kill(signal)
    assert.deepEqual(await once(child, 'exit'), [0, null])
  }
})

/** Returns a command that prints this text. */
function printing(text) {
  return [process.execPath, '-e', 'process.stdout.write(process.argv[1])', text]
}

async function listen(listener) {
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  return listener.address().port
}

/** Requests exactly this path. `fetch` would remove `..`. */
async function get(path, headers = {}, at = port, method = 'GET') {
  const asked = request({ host: '127.0.0.1', port: at, path, method, headers: { host: `localhost:${at}`, ...headers }, agent: false }).end()
  const [response] = await once(asked, 'response')
  let body = ''
  for await (const chunk of response.setEncoding('utf8')) body += chunk
  return { status: response.statusCode, headers: response.headers, body }
}

async function write(name, text) {
  const path = join(folder, name)
  await writeFile(path, text)
  return path
}

function runServer(args) {
  return new Promise((resolve) => {
    execFile(process.execPath, [SERVER, ...args], (error, _stdout, stderr) => resolve({ code: error?.code ?? 0, stderr }))
  })
}
