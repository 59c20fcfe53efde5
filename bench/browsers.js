// Measures in real browsers: the page is built as an application's would be, served, opened, and posts its results back.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'vite'
import { launchChromium } from '../tests/js/support/chromium.js'
import { openInWebKit } from './webkit.js'

const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.wasm': 'application/wasm' }
// Only pages that are isolated from others' get a clock of microseconds.
const ISOLATED = { 'cross-origin-opener-policy': 'same-origin', 'cross-origin-embedder-policy': 'require-corp' }

/** A browser that says nothing at all must not hold up the others. */
const LIMIT_MS = 15 * 60_000

/**
 * @param {keyof typeof LAUNCHERS} name
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
    browser = await LAUNCHERS[name](`http://127.0.0.1:${server.address().port}/index.html#${rounds}`, results.reject)
    const posted = await results.promise
    return { ...posted, runtime: browser.runtime ?? posted.runtime }
  } finally {
    clearTimeout(limit)
    await browser?.close()
    server.closeAllConnections()
    server.close()
  }
}

/**
 * Each opens the page, calls `failed` where that is certain to come to nothing, and answers how to close the browser, and
 * its name and version where the page isn't told.
 */
const LAUNCHERS = {
  async chromium(url, failed) {
    const browser = await launchChromium()
    const page = await browser.newPage()
    page.on('pageerror', failed)
    page.on('crash', () => failed(new Error('the page crashed')))
    await page.goto(url)
    return { close: () => browser.close() }
  },
  async firefox(url, failed) {
    const profile = await mkdtemp(join(tmpdir(), 'countersign-firefox-'))
    const flags = ['--headless', '--no-remote', '--profile', profile, url]
    const child = spawn(process.env.COUNTERSIGN_FIREFOX || 'firefox-esr', flags, { stdio: 'ignore' })
    const ended = new Promise((resolve) => child.once('close', resolve).once('error', resolve))
    child.once('error', () => failed(new Error('there is no firefox-esr; install it, or set COUNTERSIGN_FIREFOX to its path')))
    child.once('exit', () => failed(new Error('Firefox ended before its page was done')))
    const close = async () => {
      child.kill()
      await ended
      await rm(profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 })
    }
    return { close }
  },
  webkit: openInWebKit,
}

/** The names of the browsers that the page can be measured in. */
export const BROWSERS = Object.keys(LAUNCHERS)

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
