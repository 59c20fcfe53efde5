// The time that the example edge-gateway adds to a request: in workerd, beside a Worker that only forwards.
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { Agent, createServer, request as httpRequest } from 'node:http'
import { join } from 'node:path'
import { Miniflare } from 'miniflare'
import { workerIn } from '../tests/packaging/example.js'
import { bundleGateway } from '../tests/packaging/gateway.js'
import { quantile, shuffled } from './lib/measure.js'
import { AUDIENCE, ISSUER, makeKey, makeTokens } from './lib/tokens.js'
import { printTable, writeResults } from './report.js'

/** Each contestant gets one request a round. The quiet block is the one with the fastest forwarding. */
const BLOCK = 500
const WARM_UP = 2000
const FORWARDING = 'forwarding'
const ROUTES = [{ path: '/notes', methods: ['GET'], claims: { sub: 'x-verified-sub' } }]
const SIGNING_KEY = 'a secret for benchmarks alone, of 32 characters or more'

/** The Worker that only forwards. */
const FORWARDER = `export default {
  fetch(request, env) {
    const url = new URL(request.url)
    return fetch(new Request(env.ORIGIN + url.pathname + url.search, request), { redirect: 'manual', cache: 'no-store' })
  },
}
`

/** @param {{ out: string, rounds?: number }} setting */
export async function runGateway({ out, rounds = 4000 }) {
  const key = await makeKey()
  const tokens = await makeTokens(key, 512)
  const keys = await serve({ keys: [key.jwk] })
  const origin = await serve({ notes: [] })
  const bundled = await bundleGateway()
  const workers = await startWorkers(bundled.worker, { origin, keys, out })
  try {
    const times = await takeTurns(workers.urls, tokens, rounds)
    const results = Object.entries(times).map(([name, values]) => ({ name, ...timesOf(values, quietBlock(times[FORWARDING])) }))
    print(results)
    await writeResults(out, 'gateway', { rounds, results })
  } finally {
    await workers.close()
    await bundled.remove()
    await Promise.all([keys, origin].map(({ close }) => close()))
  }
}

/** Serves a JSON document at each path. */
async function serve(document) {
  const body = JSON.stringify(document)
  const server = createServer((_, response) => response.setHeader('content-type', 'application/json').end(body))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    close() {
      server.closeAllConnections()
      return new Promise((resolve) => server.close(resolve))
    },
  }
}

/** Starts the Workers in one workerd. */
async function startWorkers(folder, { origin, keys, out }) {
  await writeFile(join(out, 'forwarder.js'), FORWARDER)
  const direct = { unsafeDirectSockets: [{ host: '127.0.0.1', port: 0 }] }
  const bindings = { ISSUER, AUDIENCE, ORIGIN: origin.url, ROUTES, VERIFIER: { jwks: keys.url } }
  const gateway = { ...workerIn(folder), ...direct }
  const forwarder = { modules: true, scriptPath: join(out, 'forwarder.js'), compatibilityDate: gateway.compatibilityDate }
  const workers = [
    { name: FORWARDING, ...forwarder, ...direct, bindings: { ORIGIN: origin.url } },
    { name: 'gateway', ...gateway, bindings },
    { name: 'gateway that signs', ...gateway, bindings: { ...bindings, SIGNING_KEY } },
  ]
  const miniflare = new Miniflare({ cf: false, workers })
  await miniflare.ready
  const urls = {}
  for (const { name } of workers) urls[name] = await miniflare.unsafeGetDirectURL(name)
  return { urls, close: () => miniflare.dispose() }
}

/** Returns the milliseconds of each request, by contestant. */
async function takeTurns(urls, tokens, rounds) {
  const agent = new Agent({ keepAlive: true })
  const times = Object.fromEntries(Object.keys(urls).map((name) => [name, []]))
  for (let round = -WARM_UP; round < rounds; round++) {
    for (const name of shuffled(Object.keys(urls))) {
      const taken = await timeOf(urls[name], tokens.at(round % tokens.length), agent)
      if (round >= 0) times[name].push(taken)
    }
  }
  agent.destroy()
  return times
}

async function timeOf({ hostname, port }, token, agent) {
  const start = performance.now()
  const headers = { authorization: `Bearer ${token}` }
  const [response] = await once(httpRequest({ hostname, port, path: '/notes', agent, headers }).end(), 'response')
  await once(response.resume(), 'end')
  const taken = performance.now() - start
  if (response.statusCode !== 200) throw new Error(`a Worker answered ${response.statusCode} instead of 200`)
  return taken
}

/** Returns the beginning of the block with the lowest p99. */
function quietBlock(times) {
  const starts = Array.from({ length: Math.floor(times.length / BLOCK) }, (_, block) => block * BLOCK)
  const slow = (start) => quantile(times.slice(start, start + BLOCK), 0.99)
  return starts.toSorted((a, b) => slow(a) - slow(b))[0] ?? 0
}

function timesOf(times, quiet) {
  const block = times.slice(quiet, quiet + BLOCK)
  return { p50: quantile(times, 0.5), p99: quantile(times, 0.99), quiet: quantile(block, 0.99) }
}

function print(results) {
  const [forwarding] = results
  const added = (result, name) => (result === forwarding ? '' : `+${(result[name] - forwarding[name]).toFixed(2)}`)
  const cells = (result, name) => [result[name].toFixed(2), added(result, name)]
  const rows = results.map((result) => [result.name, ...cells(result, 'p50'), ...cells(result, 'p99'), ...cells(result, 'quiet')])
  printTable('a request through workerd', ['', 'p50, ms', 'added', 'p99, ms', 'added', 'p99 when quiet', 'added'], rows)
}
