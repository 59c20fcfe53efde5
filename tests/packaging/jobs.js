// A server that hands out the job of the matrix and collects the results, for any runtime with `fetch`.
import { once } from 'node:events'
import { readdir, readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { freePort, logIn, startIssuer } from '../js/support/issuer.js'
import { tamperWith } from '../js/support/tampering.js'

const VECTORS = new URL('../vectors/', import.meta.url)

/** The time limit for a runtime, from its start to its result. */
const LIMIT_MS = 180_000

/**
 * Starts the issuer and the server.
 *
 * @param {number} pages the number of pages that may be open at the same time
 * @returns {Promise<{ open: () => { address: string, result: Promise<object> }, vectors: number, pagePorts: number[], stop:
 *   () => Promise<void> }>} `open` makes an address for one run, whose `result` is the JSON that is posted there; `vectors`
 *   is the number of vectors; `pagePorts` are free ports of 127.0.0.1 for the pages
 */
export async function startJobs(pages) {
  const pagePorts = await Promise.all(Array.from({ length: pages }, freePort))
  const issuer = await startIssuer()
  const vectors = await readVectors()
  const runs = []
  const server = createServer((request, response) => {
    answer(request, response).catch((error) => response.writeHead(500, CORS).end(String(error)))
  })
  // While it runs the vectors, a runtime may not notice that its connection was closed.
  server.keepAliveTimeout = LIMIT_MS
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')

  async function answer(request, response) {
    const run = runs[Number(request.url.slice(1))]
    if (run === undefined) return void response.writeHead(404, CORS).end()
    if (request.method === 'GET') {
      const job = JSON.stringify({ ...(await tokens(issuer.url)), vectors })
      return void response.writeHead(200, { ...CORS, 'content-type': 'application/json' }).end(job)
    }
    let body = ''
    for await (const chunk of request.setEncoding('utf8')) body += chunk
    run.resolve(JSON.parse(body))
    response.writeHead(204, CORS).end()
  }

  return {
    vectors: vectors.length,
    pagePorts,
    open() {
      const address = `http://127.0.0.1:${server.address().port}/${runs.length}`
      const result = new Promise((resolve, reject) => {
        runs.push({ resolve })
        setTimeout(() => reject(new Error('there was no result in time')), LIMIT_MS).unref()
      })
      return { address, result }
    },
    async stop() {
      server.close()
      server.closeAllConnections()
      await issuer.stop()
    },
  }
}

const CORS = { 'access-control-allow-origin': '*' }

async function readVectors() {
  const names = (await readdir(VECTORS)).filter((name) => name.endsWith('.json'))
  const files = await Promise.all(names.map((name) => readFile(new URL(name, VECTORS), 'utf8')))
  return files.flatMap((text) => JSON.parse(text))
}

/** Returns a new token of the issuer, a changed copy, and the options to verify both with. */
async function tokens(issuer) {
  const { access_token: token } = await logIn(issuer)
  const options = { issuer, audience: 'api', jwks: `${issuer}/.well-known/jwks.json` }
  return { token, tampered: tamperWith(token), options }
}
