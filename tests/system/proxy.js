// The proxy between everything and the issuers: it balances, does to answers all that networks do, and remembers for each edge
// which documents arrived whole.
import { once } from 'node:events'
import { Agent, createServer, request as httpRequest } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'

/** The documents that edges fetch. */
export const DOCUMENTS = ['keys', 'metadata', 'status']

/** What can happen to a document on its way. */
export const DOCUMENT_FAULTS = ['cut', 'refused', 'delayed', 'unanswered', 'truncated', 'corrupted']

/** Shorter than the timeout of the edges: milliseconds. */
const DELAY = 1000

/** A slower answer may have met the timeout of the edge, and may have not: milliseconds. */
const IN_TIME = 2000

/** Names the edge that asks. The gateway's Worker has the `fetch` of its runtime, and sends no such header. */
export const EDGE_HEADER = 'x-edge'
const WITHOUT_HEADER = 'gateway'

/** The number of texts that are kept of each document: edges have newer ones. */
const TEXTS = 100

export class Proxy {
  #server
  #issuers
  #agent = new Agent({ keepAlive: true })
  #turn = 0
  #random
  /** The fault of a document, by `edge document`. */
  #faults = new Map()
  #arrivals = new Map()
  /** The newest texts of each document by their entity tags. */
  #texts = Object.fromEntries(DOCUMENTS.map((document) => [document, new Map()]))
  /** The share of answers to clients that are lost after the issuer has done its work. */
  lost = 0
  /** Replaces an answer, for a saboteur: `(path, answer) => answer`. */
  replace = (path, answer) => answer

  static async start(random) {
    const proxy = new Proxy()
    proxy.#random = random
    proxy.#server = createServer((request, response) => proxy.#answer(request, response)).listen(0, '127.0.0.1')
    await once(proxy.#server, 'listening')
    proxy.url = `http://127.0.0.1:${proxy.#server.address().port}`
    return proxy
  }

  leadTo(issuers) {
    this.#issuers = issuers
  }

  /** Lets a fault happen to a document of an edge from now on, or none. */
  setFault(edge, document, fault) {
    this.#faults.set(`${edge} ${document}`, fault)
  }

  /** Returns the arrivals of a document at an edge. */
  arrivals(edge, document) {
    const name = `${edge} ${document}`
    if (!this.#arrivals.has(name)) this.#arrivals.set(name, new Arrivals())
    return this.#arrivals.get(name)
  }

  stop() {
    this.#server.close()
    this.#server.closeAllConnections()
    this.#agent.destroy()
  }

  async #answer(request, response) {
    const asked = Date.now()
    const closed = new Promise((resolve) => response.on('close', resolve))
    const document = documentOf(request.url)
    const edge = request.headers[EDGE_HEADER] ?? WITHOUT_HEADER
    const fault = document && this.#faults.get(`${edge} ${document}`)
    const arrivals = document && this.arrivals(edge, document)
    arrivals?.begin()
    const body = Buffer.concat(await request.toArray().catch(() => []))
    let answer = await this.#forward(request, body)
    answer = await this.replace(request.url, answer, body)
    if (document === undefined) {
      if (this.#random.next() < this.lost) return response.destroy()
      return send(response, answer)
    }
    const isWhole = await spoil(fault, response, answer)
    await closed
    const isInTime = Date.now() - asked < IN_TIME
    if (!isWhole || !isInTime || !response.writableFinished || ![200, 304].includes(answer.status)) return arrivals.noteFailure(asked)
    arrivals.note(asked, this.#textIn(document, answer))
  }

  /** Returns the text in an answer, or the one whose entity tag the edge has. */
  #textIn(document, { status, headers: { etag }, body }) {
    const texts = this.#texts[document]
    if (status === 200) texts.set(etag, body.toString())
    if (texts.size > TEXTS) texts.delete(texts.keys().next().value)
    return texts.get(etag)
  }

  /** Asks one issuer, and the other one if it does not listen. */
  async #forward(request, body) {
    const first = this.#turn++
    for (let attempt = 0; attempt < this.#issuers.count; attempt++) {
      const issuer = this.#issuers.at((first + attempt) % this.#issuers.count)
      if (issuer === undefined) continue
      const answer = await this.#ask(issuer.url, request, body).catch(({ code }) => ({ code }))
      if (answer.code === undefined) return answer
      // After any other error the issuer may have done its work.
      if (answer.code !== 'ECONNREFUSED') break
    }
    return { status: 503, headers: {}, body: Buffer.alloc(0) }
  }

  async #ask(url, { url: path, method, headers }, body) {
    const asking = httpRequest(url + path, { method, headers, agent: this.#agent, timeout: 15_000 })
    asking.on('timeout', () => asking.destroy()).end(body)
    const [answer] = await once(asking, 'response')
    return { status: answer.statusCode, headers: answer.headers, body: Buffer.concat(await answer.toArray()) }
  }
}

/** When a document arrived at an edge, or did not. Times are of the requests, except `arrivedAt`: milliseconds. */
class Arrivals {
  /** The last one that arrived; 0 if the edge has none. */
  arrived = 0
  failed = 0
  /** The time when it was there. */
  arrivedAt = 0
  /** The text of the last one. */
  text
  #pending = 0

  /** True while an edge waits for one. */
  get isPending() {
    return this.#pending > 0
  }

  begin() {
    this.#pending++
  }

  note(asked, text) {
    this.#pending--
    if (asked < this.arrived) return
    this.arrived = asked
    this.arrivedAt = Date.now()
    this.text = text
  }

  noteFailure(asked) {
    this.#pending--
    this.failed = Math.max(asked, this.failed)
  }

  /** The edge may use no document from before. */
  forget() {
    this.arrived = 0
    this.text = undefined
  }
}

function documentOf(path) {
  if (path === '/.well-known/jwks.json') return 'keys'
  if (path.startsWith('/.well-known/')) return 'metadata'
  return path.startsWith('/status/') ? 'status' : undefined
}

/** Sends the answer with the fault. Returns true if it is whole. */
async function spoil(fault, response, answer) {
  const { status, headers, body } = answer
  if (fault === undefined) {
    send(response, answer)
    return true
  }
  const half = body.length >> 1
  if (fault === 'cut' || (fault === 'truncated' && half === 0)) response.destroy()
  if (fault === 'refused') response.writeHead(503).end()
  if (fault === 'truncated' && half > 0) {
    response.writeHead(status, headers).write(body.subarray(0, half), () => response.destroy())
  }
  if (fault === 'corrupted') send(response, { status: body.length === 0 ? 502 : status, headers, body: corrupted(body) })
  if (fault !== 'delayed') return false
  await sleep(DELAY)
  send(response, answer)
  return true
}

/** Neither JSON nor a JWT. A document of JSON with other digits would be another key set: only https can notice that. */
function corrupted(body) {
  return Buffer.from(body.map((octet, index) => (index % 16 === 0 ? 0x21 : octet)))
}

function send(response, { status, headers, body }) {
  const { connection, 'keep-alive': keepAlive, 'transfer-encoding': encoding, ...passed } = headers
  if (!response.destroyed) response.writeHead(status, passed).end(body)
}
