// Browsers with tabs for session.test.js. Chromium has real tabs. Firefox and WebKit have frames of one page, which share locks,
// messages and cookies like tabs.
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { once } from 'node:events'
import { openPage } from '../runtimes/browsers.js'
import { launchChromium } from '../runtimes/chromium.js'

const DIST = new URL('../../pkg/dist/', import.meta.url)

/** A page with a session, whose clocks the test can set. The options are in its fragment. */
const TAB = `<!doctype html>
<script>
const { clock, ...options } = JSON.parse(decodeURIComponent(location.hash.slice(1)))
globalThis.clock = clock
const [wall, steady] = [Date.now.bind(Date), performance.now.bind(performance)]
Date.now = () => wall() + clock.wall
performance.now = () => steady() + clock.steady
</script>
<script type="importmap">{ "imports": { "countersign/session": "/dist/session.js" } }</script>
<script type="module">
import { createSession } from 'countersign/session'
globalThis.session = createSession(options)
globalThis.states = []
session.onChange(({ status }) => states.push(status))
</script>`

/** A page that runs the test's functions in its frames, or in itself. Each tab cannot poll: browsers open six connections. */
const FRAMES = `<!doctype html>
<body>
<script type="module">
async function run({ id, tab, code, argument }) {
  const target = tab === undefined ? globalThis : document.getElementById(tab).contentWindow
  const result = await Promise.resolve().then(() => target.eval('(' + code + ')')(argument)).then((value) => ({ value }), (error) => ({ error: String(error) }))
  await fetch('/result', { method: 'POST', body: JSON.stringify({ id, ...result }) })
}
for (;;) for (const command of await (await fetch('/commands')).json()) run(command)
</script>`

/**
 * Serves the pages of the tests.
 *
 * @param {(request: Request) => Promise<Response>} api answers requests to `/api`; `/moved` redirects to it
 * @param {(request: Request) => Promise<Response>} [issuer] answers requests below `/issuer/`
 */
export async function servePages(api, issuer) {
  const commands = new Commands()
  const routes = {
    '/tab': () => html(TAB),
    '/frames': () => html(FRAMES),
    '/commands': async () => Response.json(await commands.next()),
    '/result': async (request) => (commands.settle(await request.json()), new Response(null, { status: 204 })),
    '/api': api,
    '/moved': () => new Response(null, { status: 302, headers: { location: '/api' } }),
  }
  const answer = async (request) => {
    const { pathname } = new URL(request.url)
    if (pathname.startsWith('/issuer/') && issuer !== undefined) return issuer(request)
    if (!pathname.startsWith('/dist/')) return routes[pathname]?.(request) ?? new Response('', { status: 404 })
    return new Response(await readFile(new URL(pathname.slice(6), DIST)), { headers: { 'content-type': 'text/javascript' } })
  }
  const server = createServer(async (incoming, outgoing) => {
    const chunks = await incoming.toArray()
    const { method, headers } = incoming
    const body = chunks.length === 0 ? undefined : Buffer.concat(chunks)
    const response = await answer(new Request(`http://127.0.0.1${incoming.url}`, { method, headers, body }))
    outgoing.writeHead(response.status, Object.fromEntries(response.headers)).end(Buffer.from(await response.arrayBuffer()))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const close = () => {
    server.close()
    server.closeAllConnections()
  }
  return { url: `http://127.0.0.1:${server.address().port}`, commands, close }
}

function html(text) {
  return new Response(text, { headers: { 'content-type': 'text/html' } })
}

/** The test's functions for the page with frames, and their results. */
class Commands {
  #waiting = []
  #results = new Map()
  #wake = () => {}
  #id = 0

  /** Forgets the page of the browser before. */
  reset() {
    this.#waiting = []
    this.#wake = () => {}
  }

  /** Runs a function in a frame, or without one in the page, and returns its result. */
  run(tab, work, argument) {
    const id = ++this.#id
    this.#waiting.push({ id, tab, code: String(work), argument })
    this.#wake()
    return new Promise((resolve, reject) => this.#results.set(id, { resolve, reject }))
  }

  async next() {
    if (this.#waiting.length === 0) await new Promise((resolve) => (this.#wake = resolve))
    return this.#waiting.splice(0)
  }

  settle({ id, value, error }) {
    const { resolve, reject } = this.#results.get(id)
    if (error === undefined) resolve(value)
    else reject(new Error(error))
  }
}

/**
 * Starts a browser.
 *
 * @returns {Promise<{ open: (options: object) => Promise<Tab>, setOnline: (isOnline: boolean) => Promise<void>, close: () =>
 *   Promise<void> }>} a `Tab` is `{ run(function, argument), close() }`, in Chromium with `devtools()`
 */
export function startBrowser(name, pages) {
  return name === 'chromium' ? startChromium(pages) : startFrames(name, pages)
}

async function startChromium({ url }) {
  const browser = await launchChromium()
  const context = await browser.newContext()
  return {
    async open(options) {
      const page = await context.newPage()
      await page.goto(tabUrl(url, options))
      const devtools = () => context.newCDPSession(page)
      return { run: (work, argument) => page.evaluate(work, argument), devtools, close: () => page.close() }
    },
    setOnline: (isOnline) => context.setOffline(!isOnline),
    close: () => browser.close(),
  }
}

async function startFrames(name, { url, commands }) {
  commands.reset()
  let failed
  const failure = new Promise((_, reject) => (failed = reject))
  failure.catch(() => {})
  const { close } = await openPage(name, `${url}/frames`, failed)
  const run = (tab, work, argument) => Promise.race([commands.run(tab, work, argument), failure])
  const openFrame = ({ tab, url }) => new Promise((resolve) => {
    document.body.append(Object.assign(document.createElement('iframe'), { id: tab, src: url, onload: () => resolve() }))
  })
  const goOnline = (isOnline) => {
    Object.defineProperty(navigator, 'onLine', { configurable: true, value: isOnline })
    const real = (globalThis.realFetch ??= fetch)
    globalThis.fetch = isOnline ? real : () => Promise.reject(new TypeError('offline'))
    if (isOnline) dispatchEvent(new Event('online'))
  }
  const tabs = new Set()
  let count = 0
  return {
    async open(options) {
      const tab = `tab${++count}`
      await run(undefined, openFrame, { tab, url: tabUrl(url, options) })
      tabs.add(tab)
      const close = () => (tabs.delete(tab), run(undefined, (tab) => document.getElementById(tab).remove(), tab))
      return { run: (work, argument) => run(tab, work, argument), close }
    },
    /** These browsers have no switch for it. */
    setOnline: (isOnline) => Promise.all([...tabs].map((tab) => run(tab, goOnline, isOnline))),
    close,
  }
}

function tabUrl(url, { clock = { wall: 0, steady: 0 }, ...options }) {
  return `${url}/tab#${encodeURIComponent(JSON.stringify({ clock, ...options }))}`
}
