// Serves the site with the demo's issuer: its files, and three small JSON documents.
//
//   node www/server.js --listen 127.0.0.1:8000 --demo target/demo/demo.json
//
// Only for a developer's own machine: `/demo.json` contains the demo user's password, which the page shows.

import { realpathSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { parseDemo } from './demo-config.js'
import { createKeyPlan, createKeyStates } from './key-states.js'
import { isFramed, policyOf } from './policy.js'
import { siteFiles, typeOf } from './site.js'

/**
 * Makes the demo's HTTP server. The caller makes it listen and closes it.
 *
 * @param {object} demo the content of a demo file (see `parseDemo`)
 * @param {{ dist?: URL }} [options] `dist`: the folder of the built npm package; the workspace's own by default
 * @returns {Promise<import('node:http').Server>}
 * @throws {Error} if the demo is not valid, or the npm package is not built
 */
export async function createDemoServer(demo, { dist } = {}) {
  const { issuer, audience, username, password, keysCommand, planCommand } = parseDemo(demo)
  let files = await siteFiles({ isDemo: true, dist })
  const answerWith = (ask) => async (_request, response) => {
    try {
      sendJson(response, 200, await ask())
    } catch (error) {
      console.error(`demo page: ${error.message}`)
      sendJson(response, 503, { error: 'temporarily_unavailable', error_description: 'the issuer did not list its keys' })
    }
  }

  const routes = {
    '/demo.json': (_request, response) => sendJson(response, 200, { issuer, audience, username, password }),
    '/keys.json': answerWith(createKeyStates(keysCommand)),
    '/plan.json': answerWith(createKeyPlan(planCommand)),
  }

  const server = createServer(async (request, response) => {
    for (const [name, value] of Object.entries(HEADERS)) response.setHeader(name, value)
    try {
      const { pathname } = new URL(request.url, 'http://demo.invalid')
      const path = pathname.slice(1).replace(/(^|\/)$/, '$1index.html')
      response.setHeader('Content-Security-Policy', `${policyOf(path, issuer)}; frame-ancestors ${isFramed(path) ? "'self'" : "'none'"}`)
      if (request.method !== 'GET' && request.method !== 'HEAD') {
        response.setHeader('Allow', 'GET, HEAD')
        return sendText(response, 405, 'only GET and HEAD are allowed')
      }
      // The issuer allows one origin (CORS), and a foreign name that resolves to loopback must not read the password.
      // So a request under another name is redirected. Passkeys need a host name, which no other machine can have.
      const { address, port } = server.address()
      const own = `localhost:${port}`
      if (isLoopback(address) && request.headers.host !== own) {
        response.setHeader('Location', `http://${own}/`)
        return sendText(response, 307, `this page is at http://${own}/`)
      }
      if (Object.hasOwn(routes, pathname)) return await routes[pathname](request, response)
      // A reload shows an edit, and also a new file.
      if (!files.has(path)) files = await siteFiles({ isDemo: true, dist })
      const make = files.get(path)
      if (make === undefined) return sendText(response, 404, 'not found')
      response.writeHead(200, { 'Content-Type': typeOf(path), 'Cache-Control': 'no-cache' })
      response.end(await make())
    } catch (error) {
      console.error(`demo page: ${error.message}`)
      if (!response.headersSent) sendText(response, 500, 'the demo server failed: see its output')
      else response.destroy()
    }
  })
  return server
}

/**
 * The headers of every response, besides its policy. Cross-origin isolation gives the pages the finer `performance.now()` (5 µs,
 * not 100).
 */
const HEADERS = {
  'Cross-Origin-Embedder-Policy': 'require-corp',
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
}

function sendJson(response, status, body) {
  response.writeHead(status, { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' })
  response.end(JSON.stringify(body))
}

function sendText(response, status, text) {
  response.writeHead(status, { 'Content-Type': 'text/plain; charset=utf-8' })
  response.end(`${text}\n`)
}

function isLoopback(address) {
  return address === '::1' || address.startsWith('127.')
}

async function main() {
  const { values } = parseArgs({
    options: { listen: { type: 'string', default: '127.0.0.1:8000' }, demo: { type: 'string' } },
  })
  if (values.demo === undefined) throw new Error('--demo is missing: give the path of the demo file, or run `cargo xtask start`')
  const [, host, port] = /^(.+):(\d{1,5})$/.exec(values.listen) ?? []
  if (host === undefined || Number(port) > 65535) {
    throw new Error(`--listen expects ADDRESS:PORT, such as 127.0.0.1:8000, not ${values.listen}`)
  }
  const server = await createDemoServer(await readDemo(values.demo))
  await new Promise((resolve, reject) => {
    server.once('error', (error) => reject(listenError(error, values.listen)))
    server.listen(Number(port), host.replace(/^\[(.*)\]$/, '$1'), resolve)
  })
  const { address, port: bound } = server.address()
  console.log(`demo page at http://${isLoopback(address) ? 'localhost' : host}:${bound}`)

  const stop = () => {
    server.close()
    server.closeAllConnections()
  }
  process.once('SIGINT', stop)
  process.once('SIGTERM', stop)
}

async function readDemo(path) {
  let text
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    throw new Error(`the demo file ${path} cannot be read (${error.code}): \`cargo xtask start\` writes one`)
  }
  try {
    return JSON.parse(text)
  } catch {
    throw new Error(`the demo file ${path} is not JSON: delete it and run \`cargo xtask start\``)
  }
}

function listenError(error, listen) {
  if (error.code === 'EADDRINUSE') return new Error(`${listen} is taken: stop what uses it, or give another --listen`)
  return new Error(`cannot listen on ${listen} (${error.code}): give another --listen`)
}

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  main().catch((error) => {
    console.error(`demo page: ${error.message}`)
    process.exitCode = 1
  })
}
