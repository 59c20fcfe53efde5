// Cold starts in Chromium: each turn is a page in a new context, with empty caches. The page gets its key set from a URL.
import { once } from 'node:events'
import { cp, readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { launchChromium } from '../../tests/runtimes/chromium.js'
import { bundle } from './bundle.js'

const MODULES = fileURLToPath(new URL('../../pkg/dist/wasm/', import.meta.url))

const FILES = { countersign: 'countersign.js', jose: 'jose-remote.js', nothing: 'nothing.js' }

const HTML = '<!doctype html>\n<title>Cold start</title>\n<script type="module" src="main.js"></script>\n'
const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.json': 'application/json', '.wasm': 'application/wasm' }
// Only pages that are isolated from others get a clock with microseconds.
const HEADERS = { 'cache-control': 'no-store', 'cross-origin-opener-policy': 'same-origin', 'cross-origin-embedder-policy': 'require-corp' }

/** @type {import('../coldstart.js').Open} */
export async function openPages(_, { jwks, ...task }, folder) {
  const server = createServer((request, response) => {
    const path = new URL(request.url, 'http://localhost').pathname
    const headers = { ...HEADERS, 'content-type': TYPES[extname(path)] ?? 'application/octet-stream' }
    const content = path.endsWith('.html') ? HTML : path === '/jwks.json' ? JSON.stringify(jwks) : readFile(join(folder, path))
    Promise.resolve(content).then(
      (body) => response.writeHead(200, headers).end(body),
      () => response.writeHead(404).end(),
    )
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const origin = `http://127.0.0.1:${server.address().port}`
  for (const [name, contestant] of Object.entries(FILES)) {
    const outdir = join(folder, name)
    await bundle('page.js', { contestant, task: { ...task, jwks: `${origin}/jwks.json` }, outdir }, { splitting: true })
    // esbuild does not copy the files that a script fetches.
    await cp(MODULES, join(outdir, 'wasm'), { recursive: true })
  }
  const browser = await launchChromium()
  return {
    async take(contestant) {
      const context = await browser.newContext()
      const page = await context.newPage()
      await page.goto(`${origin}/${contestant}/index.html`)
      const { navigation, script } = await page.evaluate(() => globalThis.times)
      await context.close()
      return { 'from the navigation': navigation, 'from the request for the script': script }
    },
    async close() {
      await browser.close()
      server.close()
      server.closeAllConnections()
    },
  }
}
