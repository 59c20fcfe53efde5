// Measures in real browsers: the page is built as an application's would be, served, opened, and posts its results back.
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'vite'
import { openPage } from '../tests/runtimes/browsers.js'

const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.wasm': 'application/wasm' }
// Only pages that are isolated from others' get a clock of microseconds.
const ISOLATED = { 'cross-origin-opener-policy': 'same-origin', 'cross-origin-embedder-policy': 'require-corp' }

/** A browser that says nothing at all must not hold up the others. */
const LIMIT_MS = 15 * 60_000

/**
 * @param {string} name one of `BROWSERS`
 * @param {{ rounds: number, folder: string, kernelFolder: string }} setting `folder` takes the page's build
 */
export async function measureInBrowser(name, { rounds, folder, kernelFolder }) {
  const outDir = join(folder, 'page')
  const root = fileURLToPath(new URL('page/', import.meta.url))
  await build({ root, logLevel: 'error', build: { outDir, emptyOutDir: true, target: 'es2022' } })
  const results = withResolvers()
  const server = createServer((request, response) => {
    answer(request, response, { outDir, kernelFolder, results }).catch(() => response.writeHead(404).end())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const limit = setTimeout(() => results.reject(new Error('it sent no results in time')), LIMIT_MS)
  let browser
  try {
    browser = await openPage(name, `http://127.0.0.1:${server.address().port}/index.html#${rounds}`, results.reject)
    const posted = await results.promise
    return { ...posted, runtime: browser.runtime ?? posted.runtime }
  } finally {
    clearTimeout(limit)
    await browser?.close()
    server.closeAllConnections()
    server.close()
  }
}

async function answer(request, response, { outDir, kernelFolder, results }) {
  const { pathname } = new URL(request.url, 'http://localhost')
  if (request.method === 'POST') {
    let body = ''
    for await (const chunk of request.setEncoding('utf8')) body += chunk
    response.writeHead(204).end()
    if (pathname === '/results') results.resolve(JSON.parse(body))
    else results.reject(new Error(JSON.parse(body)))
    return
  }
  const [, top, ...rest] = pathname.split('/')
  const content = await readFile(top === 'kernel' ? join(kernelFolder, ...rest) : join(outDir, top, ...rest))
  response.writeHead(200, { 'content-type': TYPES[extname(pathname)] ?? 'application/octet-stream', ...ISOLATED }).end(content)
}

/** `Promise.withResolvers`, which Node.js 20 does not have. */
function withResolvers() {
  const made = {}
  made.promise = new Promise((resolve, reject) => Object.assign(made, { resolve, reject }))
  return made
}
