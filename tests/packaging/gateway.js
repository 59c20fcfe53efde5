// The example edge-gateway in workerd, with an origin that shows its requests, for the tests.
import { cp, mkdtemp, readFile, rm } from 'node:fs/promises'
import { once } from 'node:events'
import { createServer, request as httpRequest } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout } from 'node:timers/promises'
import { Miniflare } from 'miniflare'
import { bundle, EXAMPLES, inExample, workerIn } from './example.js'
import { pack } from './project.js'

/** Packs the package and bundles the example by Wrangler. Returns the folder of the bundle, which `remove` removes. */
export async function bundleGateway() {
  const folder = await mkdtemp(join(tmpdir(), 'countersign-gateway-'))
  const { tarball } = await pack(folder)
  const worker = join(folder, 'worker')
  await inExample({ tarball, name: 'edge-gateway' }, async (cwd) => cp(await bundle(cwd), worker, { recursive: true }))
  return { worker, remove: () => rm(folder, { recursive: true }) }
}

/** Returns the variables of the example's wrangler.jsonc. */
export async function variables() {
  const text = await readFile(join(EXAMPLES, 'edge-gateway/wrangler.jsonc'), 'utf8')
  return JSON.parse(text.replaceAll(/^ *\/\/.*$/gm, '')).vars
}

/**
 * Starts two isolates with the bundle, which share the Cache API. The second one is idle unless a test uses it.
 *
 * @param {import('node:test').TestContext} t
 * @param {string} worker the folder of the bundle
 * @param {object} bindings the settings
 * @param {object} [options] more options of Miniflare for a Worker
 * @returns {Promise<{ send: (request?: object) => Promise<object>, sendToOther: (request?: object) => Promise<object>, logged:
 *   () => Promise<object>, lines: object[], url: URL, dispatch: Miniflare['dispatchFetch'] }>} `send` sends a request as it is,
 *   without the rules of `fetch` for URLs and headers; `lines` are those that the isolates wrote, `logged` takes the next one
 */
export async function startGateway(t, worker, bindings, options = {}) {
  const lines = []
  const read = (stream) => {
    createInterface({ input: stream }).on('line', (line) => line.startsWith('{') && lines.push(JSON.parse(line)))
  }
  const logged = async () => {
    await until(() => lines.length > 0)
    return lines.shift()
  }
  // Miniflare's own server would normalise the URL before the Worker gets it.
  const unsafeDirectSockets = [{ host: '127.0.0.1', port: 0 }]
  const isolate = { ...workerIn(worker), unsafeDirectSockets, bindings, ...options }
  const miniflare = new Miniflare({
    cf: false,
    handleRuntimeStdio: (stdout, stderr) => [stdout, stderr].map(read),
    workers: [{ name: 'gateway', ...isolate }, { name: 'other', ...isolate }],
  })
  t.after(() => miniflare.dispose())
  await miniflare.ready
  const [url, otherUrl] = [await miniflare.unsafeGetDirectURL('gateway'), await miniflare.unsafeGetDirectURL('other')]
  return {
    send: (request) => send(url, request),
    sendToOther: (request) => send(otherUrl, request),
    logged,
    lines,
    url,
    dispatch: miniflare.dispatchFetch.bind(miniflare),
  }
}

/** Sends a request as it is. Returns the response, with its body as text. */
async function send({ hostname, port }, { body, ...request } = {}) {
  const sent = httpRequest({ hostname, port, ...request, headers: { accept: 'application/json', ...request.headers } }).end(body)
  const [response] = await once(sent, 'response')
  const { statusCode: status, headers } = response
  return { status, headers, text: (await response.setEncoding('utf8').toArray()).join('') }
}

export const bearer = (token) => ({ authorization: `Bearer ${token}` })

/** Starts an origin that records its requests. `answer` may be replaced; by default it is the URL. */
export async function startOrigin(t) {
  const state = { requests: [], answer: (request, response) => response.end(request.url) }
  const server = createServer((request, response) => {
    state.requests.push(request)
    state.answer(request, response)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  state.url = `http://127.0.0.1:${server.address().port}`
  t.after(() => new Promise((resolve) => {
    server.close(resolve)
    server.closeAllConnections()
  }))
  return state
}

/** Waits until the condition is true. The time limit of the test ends it. */
export async function until(condition) {
  while (!(await condition())) await setTimeout(20)
}
