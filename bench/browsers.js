// Measures in real browsers. The page is built as an application's would be, and posts its results back to its server.
import { once } from 'node:events'
import { cp, readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { extname, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { build } from 'vite'
import { openPage } from '../tests/runtimes/browsers.js'

const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.wasm': 'application/wasm' }
// Only pages that are isolated from others get a clock with microseconds.
const ISOLATED = { 'cross-origin-opener-policy': 'same-origin', 'cross-origin-embedder-policy': 'require-corp' }

/** A browser that stays silent must not hold up the others. */
const LIMIT_MS = 15 * 60_000

/**
 * @param {string} name one of `BROWSERS`
 * @param {{ rounds: number, folder: string, kernelFolder: string }} setting `folder` takes the page's build
 */
export async function measureInBrowser(name, { rounds, folder, kernelFolder }) {
  const outDir = join(folder, 'page')
  const root = fileURLToPath(new URL('page/', import.meta.url))
  await build({ root, logLevel: 'error', build: { outDir, emptyOutDir: true, target: 'es2022' } })
  await cp(kernelFolder, join(outDir, 'kernel'), { recursive: true })

  let settle
  const results = new Promise((resolve, reject) => {
    settle = { resolve, reject }
  })
  const server = createServer((request, response) => {
    answer(request, response, outDir, settle).catch(() => response.writeHead(404).end())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const limit = setTimeout(() => settle.reject(new Error('it sent no results in time')), LIMIT_MS)
  let browser
  try {
    browser = await openPage(name, `http://127.0.0.1:${server.address().port}/index.html#${rounds}`, settle.reject)
    const posted = await results
    return { ...posted, runtime: browser.runtime ?? posted.runtime }
  } finally {
    clearTimeout(limit)
    await browser?.close()
    server.closeAllConnections()
    server.close()
  }
}

async function answer(request, response, folder, { resolve, reject }) {
  const { pathname } = new URL(request.url, 'http://localhost')
  if (request.method === 'POST') {
    const posted = JSON.parse(await text(request))
    response.writeHead(204).end()
    if (pathname === '/results') resolve(posted)
    else reject(new Error(posted))
    return
  }
  const content = await readFile(join(folder, pathname))
  response.writeHead(200, { 'content-type': TYPES[extname(pathname)] ?? 'application/octet-stream', ...ISOLATED }).end(content)
}
