import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { extname, join } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { build } from 'vite'
import { AUDIENCE, claims, ISSUER, makeKey, makeToken } from '../js/package-tokens.js'
import { launchChromium, skipChromium } from '../runtimes/chromium.js'

const key = makeKey('k1')
const iat = Math.floor(Date.now() / 1000) - 1
const token = makeToken(key, claims({ iat, exp: iat + 900 }))
const page = fileURLToPath(new URL('../js/vite-page/', import.meta.url))
const dist = fileURLToPath(new URL('../../pkg/dist/', import.meta.url))
const types = { '.html': 'text/html', '.js': 'text/javascript', '.json': 'application/json', '.wasm': 'application/wasm' }

let browser, outDir, server, origin
const requests = []

/** The content type that the server gives the module, or `undefined` where there is no module to be had. */
let wasmType

before(async () => {
  if (skipChromium) return
  outDir = await mkdtemp(join(tmpdir(), 'countersign-vite-'))
  await build({ root: page, logLevel: 'error', base: './', build: { outDir, target: 'es2022' } })
  server = createServer(answer)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  origin = `http://127.0.0.1:${server.address().port}`
  browser = await launchChromium()
})

after(async () => {
  await browser?.close()
  server?.closeAllConnections()
  server?.close()
  if (outDir !== undefined) await rm(outDir, { recursive: true })
})

// `/vite/` is the Vite build of the page, `/plain/` the same page with the package's files as they are.
async function answer(request, response) {
  const { pathname } = new URL(request.url, origin)
  requests.push(pathname)
  try {
    if (pathname === '/moved.json') return void response.writeHead(302, { location: '/jwks.json' }).end()
    const type = extname(pathname) === '.wasm' ? wasmType : types[extname(pathname)]
    if (type === undefined) return void response.writeHead(404).end()
    const body = await content(pathname)
    response.writeHead(200, { 'content-type': type, 'content-security-policy': "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'" })
    response.end(body)
  } catch {
    response.writeHead(404).end()
  }
}

async function content(pathname) {
  if (pathname === '/jwks.json') return JSON.stringify({ keys: [key.jwk] })
  if (pathname === '/plain/main.js') {
    return (await readFile(join(page, 'main.js'), 'utf8')).replace(`'countersign'`, `'/dist/browser.js'`)
  }
  const [, folder, ...rest] = pathname.split('/')
  return readFile(join({ vite: outDir, plain: page, dist }[folder], ...rest))
}

/** What the page says of the token, and the paths that it asked for. */
async function verdict(kind, changes = {}, text = token) {
  const options = { issuer: ISSUER, audience: AUDIENCE, jwks: { keys: [key.jwk] }, ...changes }
  const context = await browser.newContext()
  try {
    requests.length = 0
    const tab = await context.newPage()
    const problems = []
    tab.on('pageerror', (error) => problems.push(error))
    await tab.goto(`${origin}/${kind}/index.html#${encodeURIComponent(JSON.stringify({ token: text, options }))}`)
    await tab.waitForFunction(() => document.querySelector('output').value !== '')
    assert.deepEqual(problems, [])
    return await tab.locator('output').textContent()
  } finally {
    await context.close()
  }
}

for (const kind of ['plain', 'vite']) {
  test(`${kind}: a good token passes, with keys at hand and with keys fetched`, { skip: skipChromium }, async () => {
    wasmType = 'application/wasm'
    assert.equal(await verdict(kind), 'ok somebody')
    assert.equal(await verdict(kind, { jwks: `${origin}/jwks.json` }), 'ok somebody')
    assert.equal(requests.filter((path) => path === '/jwks.json').length, 1)
    assert.equal(requests.filter((path) => path.endsWith('.wasm')).length, 1)
  })

  test(`${kind}: a forged token is refused`, { skip: skipChromium }, async () => {
    wasmType = 'application/wasm'
    assert.equal(await verdict(kind, {}, makeToken(makeKey('k1'))), 'VerifyError signature_invalid')
  })

  test(`${kind}: a server that does not know the type of the module does no harm`, { skip: skipChromium }, async () => {
    wasmType = 'application/octet-stream'
    assert.equal(await verdict(kind), 'ok somebody')
  })

  test(`${kind}: a module that is not there is named`, { skip: skipChromium }, async () => {
    wasmType = undefined
    assert.match(await verdict(kind), /^Error countersign: no WebAssembly module at http.*\.wasm: HTTP status 404$/)
  })
}

test('a redirected key set is refused', { skip: skipChromium }, async () => {
  wasmType = 'application/wasm'
  assert.equal(await verdict('vite', { jwks: `${origin}/moved.json` }), 'VerifyError jwks_unavailable')
  assert.ok(!requests.includes('/jwks.json'))
})

test('wrong options are refused before the module is fetched', { skip: skipChromium }, async () => {
  wasmType = 'application/wasm'
  assert.equal(await verdict('vite', { audiance: 'api' }), 'VerifyError options_invalid')
  assert.ok(!requests.some((path) => path.endsWith('.wasm')))
})
