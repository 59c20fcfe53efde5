// Pages that call the real issuer, in each browser: with the session cookie, and without.
import assert from 'node:assert/strict'
import { createHash, generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { startIssuer, USER } from '../js/support/issuer.js'
import { BROWSERS, openPage } from '../runtimes/browsers.js'
import { launchExtension, skipChromium } from '../runtimes/chromium.js'
import { isSkipped } from '../runtimes/skip.js'

/** The time limit for a page, from the start of its browser to its result. */
const LIMIT_MS = 60_000

/** The headers that tracing, monitoring and old libraries add to each request of a page. */
const ADDED = {
  authorization: 'Bearer x',
  baggage: 'sentry-environment=test',
  'sentry-trace': '4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1',
  traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
  'x-requested-with': 'XMLHttpRequest',
}

const extensionKey = generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey.export({ type: 'spki', format: 'der' })
const extension = `chrome-extension://${idOf(extensionKey)}`

let pages, strangers, issuer

/** The page that the servers have at the moment, and what to do with its result. */
let page, done

before(async () => {
  pages = await serve()
  strangers = await serve()
  const origins = ['127.0.0.1', 'localhost'].map((host) => `http://${host}:${pages.address().port}`)
  issuer = await startIssuer({ corsOrigins: [...origins, extension] })
})

after(async () => {
  await issuer?.stop()
  for (const server of [pages, strangers]) {
    server?.close()
    server?.closeAllConnections()
  }
})

for (const browser of BROWSERS) {
  const skip = isSkipped([browser])

  test(`${browser}: a session in the cookie works over http on loopback, with any header`, { skip }, async () => {
    const result = await visit(browser, `http://127.0.0.1:${pages.address().port}/`, session)
    assert.deepEqual(result, {
      wrong: [401, 'invalid_grant'], login: 200, hasId: true, inBody: false, visible: '', refreshes: [200, 200], logout: 204, over: 400,
      challenge: 'Basic realm="countersign"',
    })
  })

  test(`${browser}: a page at localhost learns that the issuer at 127.0.0.1 is another site`, { skip }, async () => {
    const result = await visit(browser, `http://localhost:${pages.address().port}/`, logIn)
    assert.match(result.error_description, /localhost .* 127\.0\.0\.1: .* two sites.* same host name/)
  })

  test(`${browser}: a page of any origin reads the documents, and calls nothing else`, { skip }, async () => {
    const { documents, login } = await visit(browser, `http://127.0.0.1:${strangers.address().port}/`, read)
    assert.deepEqual(documents, [['keys', true], ['issuer', false], ['issuer', false], ['openapi', true]])
    assert.match(login, /TypeError/)
  })
}

test('an extension of Chromium calls the issuer', { skip: skipChromium }, async () => {
  const folder = await mkdtemp(join(tmpdir(), 'countersign-extension-'))
  const manifest = { manifest_version: 3, name: 'countersign', version: '1', key: extensionKey.toString('base64') }
  await writeFile(join(folder, 'manifest.json'), JSON.stringify(manifest))
  await writeFile(join(folder, 'index.html'), '<!doctype html>')
  const context = await launchExtension(folder)
  try {
    const tab = await context.newPage()
    await tab.goto(`${extension}/index.html`)
    const { access_token, refresh_token } = await tab.evaluate(logIn, { ...job(), delivery: 'token' })
    assert.ok(access_token && refresh_token)
  } finally {
    await context.close()
    await rm(folder, { recursive: true })
  }
})

// The functions below run in the page.

async function session({ issuer, user, added }) {
  const call = (path, body, headers, credentials = 'include') => {
    return fetch(issuer + path, { method: 'POST', credentials, headers: { ...added, ...headers }, body })
  }
  const enter = (password) => call('/login', JSON.stringify({ ...user, password, session: 'cookie' }), { 'content-type': 'application/json' })
  const refresh = () => call('/token', new URLSearchParams({ grant_type: 'refresh_token' }))
  const wrong = await enter('wrong')
  const login = await enter(user.password)
  // With credentials, Chromium would open a dialog for a name and a password.
  const unauthenticated = await call('/token', new URLSearchParams({ grant_type: 'client_credentials' }), {}, 'omit')
  return {
    wrong: [wrong.status, (await wrong.json()).error],
    login: login.status,
    hasId: /^[\da-f]{16}$/.test(login.headers.get('x-request-id')),
    inBody: 'refresh_token' in (await login.json()),
    visible: document.cookie,
    refreshes: [(await refresh()).status, (await refresh()).status],
    logout: (await call('/logout')).status,
    over: (await refresh()).status,
    challenge: unauthenticated.headers.get('www-authenticate'),
  }
}

async function logIn({ issuer, user, delivery = 'cookie' }) {
  const headers = { 'content-type': 'application/json' }
  const body = JSON.stringify({ ...user, session: delivery })
  return (await fetch(`${issuer}/login`, { method: 'POST', credentials: 'include', headers, body })).json()
}

async function read({ issuer, user, added }) {
  const paths = ['/.well-known/jwks.json', '/.well-known/oauth-authorization-server', '/.well-known/openid-configuration', '/openapi.json']
  const documents = []
  for (const path of paths) {
    const response = await fetch(issuer + path, { headers: added })
    documents.push([Object.keys(await response.json())[0], response.headers.has('etag')])
  }
  const login = await fetch(`${issuer}/login`, { method: 'POST', body: JSON.stringify(user) }).catch(String)
  return { documents, login }
}

/** Returns the result of a function that runs in a page at this URL. */
async function visit(browser, url, work) {
  page = `<!doctype html>
<title>A page that calls the issuer</title>
<script type="module">
const result = await (${work})(${JSON.stringify(job())}).catch((error) => ({ failed: String(error) }))
await fetch('/', { method: 'POST', body: JSON.stringify(result) })
</script>`
  const result = new Promise((resolve, reject) => {
    done = resolve
    setTimeout(() => reject(new Error('there was no result in time')), LIMIT_MS).unref()
  })
  let failed
  const failure = new Promise((_, reject) => {
    failed = reject
  })
  const { close } = await openPage(browser, url, failed)
  try {
    return await Promise.race([result, failure])
  } finally {
    await close()
  }
}

function job() {
  return { issuer: issuer.url, user: USER, added: ADDED }
}

/** Serves the page, and takes its result. */
async function serve() {
  const server = createServer(async (request, response) => {
    if (request.url !== '/') return void response.writeHead(404).end()
    if (request.method === 'GET') return void response.writeHead(200, { 'content-type': 'text/html' }).end(page)
    let body = ''
    for await (const chunk of request.setEncoding('utf8')) body += chunk
    response.writeHead(204).end()
    done(JSON.parse(body))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return server
}

/** Returns the id that Chromium derives from an extension's key: half of its hash, in the letters a to p. */
function idOf(key) {
  const digits = createHash('sha256').update(key).digest('hex').slice(0, 32)
  return digits.replace(/./g, (digit) => String.fromCharCode(97 + parseInt(digit, 16)))
}
