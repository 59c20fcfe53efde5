// A server for the static site, in a folder below its root, as a host of static files would serve it.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createReadStream } from 'node:fs'
import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { buildSite } from '../../www/build.js'
import { typeOf } from '../../www/site.js'

const BASE = '/any/folder/'

/** A script that is put into each page, before all others, and notes what goes wrong in it. */
const WATCH = `globalThis.problems = []
const note = (problem) => problems.push(String(problem))
addEventListener('error', ({ message, target }) => note(message ?? 'not loaded: ' + (target.src ?? target.href)), true)
addEventListener('unhandledrejection', ({ reason }) => note(reason))
document.addEventListener('securitypolicyviolation', ({ violatedDirective, blockedURI }) => note(violatedDirective + ' ' + blockedURI))
for (const level of ['error', 'warn']) {
  const log = console[level]
  console[level] = (...words) => (note(words.join(' ')), log(...words))
}
`

/** What a page shows once its script is done. Other pages are done at once. */
const READY = {
  'index.html': '#microseconds',
  'inspect.html': '#javascript:not(:empty)',
  'keys.html': '.key-set li',
  'race.html': '#start:enabled',
  'refusals.html': '#status_unavailable',
  'sessions.html': '#log',
}

/** Buttons that fill a page, and what they show. */
const FILLED = { 'inspect.html': { button: '#example', shows: '#code' } }

const READY_LIMIT_MS = 60_000

/** The scripts of the tests. The service worker keeps them like those of the site. */
const ADDED = ['watch.js', 'axe.js']

/**
 * Builds the site and serves it.
 *
 * @returns {Promise<{ url: string, pages: string[], missed: string[], stop: () => void, remove: () => Promise<void> }>} `pages`: their
 *   paths from `url`; `missed`: paths that were requested and do not exist; `stop` is for a network that fails
 */
export async function serveSite() {
  const folder = await mkdtemp(join(tmpdir(), 'countersign-site-'))
  const paths = await buildSite(folder)
  await addScripts(folder, paths.filter((path) => path.endsWith('.html')))
  const known = new Set([...paths, ...ADDED])
  const missed = []
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url, 'http://site.invalid')
    const path = pathname.startsWith(BASE) ? pathname.slice(BASE.length).replace(/(^|\/)$/, '$1index.html') : ''
    if (!known.has(path)) {
      missed.push(pathname)
      return response.writeHead(404).end()
    }
    response.writeHead(200, { 'content-type': typeOf(path) })
    createReadStream(join(folder, path)).pipe(response)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const stop = () => {
    server.close()
    server.closeAllConnections()
  }
  return {
    // Service workers need a secure context, which localhost is.
    url: `http://localhost:${server.address().port}${BASE}`,
    pages: paths.filter((path) => path.endsWith('.html')),
    missed,
    stop,
    remove: () => rm(folder, { recursive: true }),
  }
}

async function addScripts(folder, pages) {
  await writeFile(join(folder, 'watch.js'), WATCH)
  await copyFile(fileURLToPath(import.meta.resolve('axe-core')), join(folder, 'axe.js'))
  const change = async (path, from, to) => {
    const file = join(folder, path)
    const text = await readFile(file, 'utf8')
    await writeFile(file, text.replace(from, to))
  }
  for (const page of pages) {
    const root = '../'.repeat(page.split('/').length - 1)
    await change(page, '<head>', `<head><script src="${root}watch.js"></script>`)
  }
  await change('service-worker.js', 'FILES = [', `FILES = [${ADDED.map((name) => `'${name}'`)},`)
}

/** Opens a page of the site, waits until its script is done, and fills it. */
export async function openPage(tab, site, path) {
  // WebKit answers before it has left the page before, which may have the same address.
  await tab.run(() => {
    globalThis.isLeft = true
  })
  await tab.goto(`${site.url}${path}`)
  const isDone = (selector) => !globalThis.isLeft && document.readyState === 'complete' && document.querySelector(selector) !== null
  await until(tab, isDone, READY[path] ?? 'h1')
  const { button, shows } = FILLED[path] ?? {}
  if (button === undefined) return
  await tab.run((selector) => document.querySelector(selector).click(), button)
  await until(tab, (selector) => document.querySelector(selector) !== null, shows)
}

/** Waits until the function is true in the page. */
export async function until(tab, isTrue, argument) {
  for (const limit = Date.now() + READY_LIMIT_MS; ; await sleep(50)) {
    // While a page is replaced by the next one, nothing can be asked.
    if (await tab.run(isTrue, argument).catch(() => false)) return
    if (Date.now() > limit) assert.fail(`not ${isTrue} of ${JSON.stringify(argument)}: ${await tab.run(() => document.body.textContent)}`)
  }
}
