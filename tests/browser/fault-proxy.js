import { once } from 'node:events'
import { createServer, request as send } from 'node:http'

/**
 * Starts a proxy in front of a server, which can lose and hold answers.
 *
 * @param {string} target the server's URL; the member `target` of the result replaces it
 */
export async function startFaultProxy(target) {
  const proxy = {
    target,
    /** The paths of the requests. */
    requests: [],
    /** The cookies of the requests for `/token`. */
    cookies: [],
    /** The number of answers that are sent, or that nobody waits for any more. */
    answers: 0,
    /** What happens to the next answers for `/token`: `lose`, or a promise to wait for. */
    faults: [],
    count: (path) => proxy.requests.filter((one) => one === path).length,
  }
  const server = createServer((incoming, outgoing) => {
    const isRefresh = incoming.method === 'POST' && incoming.url === '/token'
    const fault = isRefresh ? proxy.faults.shift() : undefined
    if (isRefresh) proxy.cookies.push(incoming.headers.cookie)
    if (incoming.method !== 'OPTIONS') proxy.requests.push(incoming.url)
    const { method, headers } = incoming
    const outer = send(new URL(incoming.url, proxy.target), { method, headers })
    // The server is not there.
    outer.on('error', () => outgoing.destroy())
    outer.on('response', async (answer) => {
      const chunks = await answer.toArray()
      if (fault === 'lose') return lose(answer, Buffer.concat(chunks), outgoing)
      await fault
      // The page may be closed.
      outgoing.on('error', () => {})
      outgoing.writeHead(answer.statusCode, answer.headers).end(Buffer.concat(chunks))
    })
    outgoing.on('close', () => proxy.answers++)
    incoming.pipe(outer)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  proxy.url = `http://127.0.0.1:${server.address().port}`
  proxy.close = () => {
    server.close()
    server.closeAllConnections()
  }
  return proxy
}

/** Cuts an answer off, without its cookies. If nothing of it came, browsers would send the request again themselves. */
function lose({ statusCode, headers: { 'set-cookie': _, ...headers } }, body, outgoing) {
  outgoing.writeHead(statusCode, headers)
  outgoing.write(body.subarray(0, 10), () => outgoing.destroy())
}
