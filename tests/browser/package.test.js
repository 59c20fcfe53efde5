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

/** The content type of the module, or `undefined` if the server has none. */
let wasmType

const POLICY = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'"
let policy = POLICY

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

// `/vite/` is the Vite build of the page, `/plain/` the same page with the unchanged files of the package.
async function answer(request, response) {
  const { pathname } = new URL(request.url, origin)
  requests.push(pathname)
  try {
    if (missing?.test(pathname)) return void response.writeHead(404).end()
    if (pathname === '/moved.json') return void response.writeHead(302, { location: '/jwks.json' }).end()
    const type = extname(pathname) === '.wasm' ? wasmType : types[extname(pathname)]
    if (type === undefined) return void response.writeHead(404).end()
    const body = await content(pathname)
    response.writeHead(200, { 'content-type': type, 'content-security-policy': policy })
    response.end(body)
  } catch {
    response.writeHead(404).end()
  }
}

/** The response instead of a module, or `undefined`. */
let substitute

/** Matches the paths that the server does not have. */
let missing

async function content(pathname) {
  if (substitute !== undefined && pathname.endsWith('.wasm')) return substitute
  if (pathname === '/jwks.json') return JSON.stringify({ keys: [key.jwk] })
  if (pathname === '/plain/main.js') {
    return (await readFile(join(page, 'main.js'), 'utf8')).replace(`'countersign'`, `'/dist/browser.js'`)
  }
  const [, folder, ...rest] = pathname.split('/')
  return readFile(join({ vite: outDir, plain: page, dist }[folder], ...rest))
}

/** Returns the page's verdict on the token, and the paths that it requested. */
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
  test(`${kind}: a valid token is accepted, with given keys and with fetched keys`, { skip: skipChromium }, async () => {
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

  test(`${kind}: the module loads with a wrong content type`, { skip: skipChromium }, async () => {
    wasmType = 'application/octet-stream'
    assert.equal(await verdict(kind), 'ok somebody')
  })

  test(`${kind}: if the server does not have the module, a script with its bytes replaces it`, { skip: skipChromium }, async () => {
    wasmType = undefined
    assert.equal(await verdict(kind), 'ok somebody')
    assert.equal(requests.filter((path) => path.includes('fallback')).length, 1)
  })

  test(`${kind}: if the scripts are missing too, the error names the cause and a remedy`, { skip: skipChromium }, async (t) => {
    wasmType = undefined
    missing = /fallback/
    t.after(() => {
      missing = undefined
    })
    const said = /^Error countersign: the WebAssembly was not loaded: CompileError: .*; a Content-Security-Policy needs connect-src 'self'$/
    assert.match(await verdict(kind), said)
  })

  test(`${kind}: a page whose connect-src does not name its own origin takes the script`, { skip: skipChromium }, async (t) => {
    wasmType = 'application/wasm'
    policy = `${POLICY}; connect-src https://auth.example`
    t.after(() => {
      policy = POLICY
    })
    assert.equal(await verdict(kind), 'ok somebody')
    assert.deepEqual(requests.filter((path) => path.endsWith('.wasm')), [])
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

for (const kind of ['plain', 'vite']) {
  test(`${kind}: the error under a Content-Security-Policy that blocks WebAssembly names the remedy`, { skip: skipChromium }, async (t) => {
    wasmType = 'application/wasm'
    policy = "default-src 'self'; script-src 'self'"
    t.after(() => {
      policy = POLICY
    })
    assert.match(await verdict(kind), /^Error countersign: .*under a Content-Security-Policy, script-src needs 'wasm-unsafe-eval'; or import 'countersign\/js'$/)
  })
}

test('a page instead of the module is replaced by the script', { skip: skipChromium }, async () => {
  wasmType = 'text/html'
  substitute = '<!doctype html>'
  try {
    assert.equal(await verdict('plain'), 'ok somebody')
  } finally {
    substitute = undefined
  }
})

test('the error of countersign/inline under a Content-Security-Policy that blocks WebAssembly names the remedy', { skip: skipChromium }, async (t) => {
  policy = "default-src 'self'; script-src 'self'"
  t.after(() => {
    policy = POLICY
  })
  const context = await browser.newContext()
  t.after(() => context.close())
  const tab = await context.newPage()
  await tab.goto(`${origin}/plain/index.html`)
  const said = await tab.evaluate(async (options) => {
    const { createVerifier } = await import('/dist/inline.js')
    return createVerifier(options).then(() => 'made', (error) => `${error.message} ${error.cause.name}`)
  }, { issuer: ISSUER, audience: AUDIENCE, jwks: { keys: [key.jwk] } })
  assert.match(said, /under a Content-Security-Policy, script-src needs 'wasm-unsafe-eval'; or import 'countersign\/js' CompileError$/)
})
