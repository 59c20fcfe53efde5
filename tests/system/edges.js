// The edges: two Node.js verifiers and the example edge-gateway in workerd.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { readdir, readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { fileURLToPath } from 'node:url'
import { startGateway } from '../packaging/gateway.js'

/** The lifetime of each document at an edge: seconds. */
export const TTL = 4

/** The time after that in which a status list is used if its fetch fails: seconds. */
export const MAX_STALE = 20

/** The same for keys: seconds. */
export const STALE_IF_ERROR = 600

const OPTIONS = {
  audience: 'api',
  jwksOptions: { timeoutMs: 3000, minTtl: TTL, maxTtl: TTL, staleIfError: STALE_IF_ERROR, cooldown: 1 },
}
const STATUS = { maxStale: MAX_STALE, required: true }

/** The last lines of the log that explain an answer. */
const LINES = 5

/** What all edges have in common: the way to ask, and the clock. */
class Edge {
  name
  /** The option `clockTolerance`: seconds. */
  tolerance
  /** The seconds by which the clock is ahead, and those of before if it is just being set. */
  clocks = [0]
  /** True while it starts or is killed. */
  isDown = false
  url
  /** The time at which it last said that it could not fetch a status list: milliseconds. */
  listFailedAt = 0

  constructor(name, tolerance) {
    this.name = name
    this.tolerance = tolerance
  }

  /** Takes the code of a fetch that failed. */
  noteFailure(code) {
    if (code === 'status_unavailable') this.listFailedAt = Date.now()
  }

  /** Returns the status and the code; the status is 0 without an answer. */
  async ask(token, repetitions = 3) {
    try {
      const response = await fetch(this.url, { headers: { authorization: `Bearer ${token}` }, signal: AbortSignal.timeout(20_000) })
      const text = await response.text()
      return { status: response.status, code: response.headers.get('x-code') ?? text }
    } catch (error) {
      // An edge may close an idle connection just when it is used again.
      if (error.cause?.code === 'UND_ERR_SOCKET' && repetitions > 0) return this.ask(token, repetitions - 1)
      return { status: 0, code: String(error.cause ?? error) }
    }
  }
}

export class NodeEdge extends Edge {
  #issuer
  #cache
  #process

  constructor(name, tolerance, { issuer, cache }) {
    super(name, tolerance)
    this.#issuer = issuer
    this.#cache = cache
  }

  async start(saboteur) {
    this.isDown = true
    const options = { ...OPTIONS, issuer: this.#issuer, clockTolerance: this.tolerance, cache: this.#cache }
    const settings = JSON.stringify({ name: this.name, options, status: STATUS, saboteur })
    this.#process = fork(fileURLToPath(new URL('edge.js', import.meta.url)), [settings], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
    this.#process.on('message', ({ failure }) => failure && this.noteFailure(failure))
    const ended = once(this.#process, 'exit').then(() => Promise.reject(new Error(`the edge ${this.name} does not start`)))
    const { port } = await Promise.race([this.#message('port'), ended])
    this.url = `http://127.0.0.1:${port}/notes`
    this.clocks = [0]
    this.isDown = false
  }

  get pid() {
    return this.#process.pid
  }

  async setClock(ahead) {
    this.clocks = [this.clocks[0], ahead]
    const set = this.#message('ahead')
    this.#process.send({ ahead })
    await set
    this.clocks = [ahead]
  }

  /** Waits for the next message with this member. */
  #message(member) {
    return new Promise((resolve) => {
      const process = this.#process
      process.on('message', function take(message) {
        if (!(member in message)) return
        process.off('message', take)
        resolve(message)
      })
    })
  }

  async kill() {
    this.isDown = true
    const exited = once(this.#process, 'exit')
    this.#process.kill('SIGKILL')
    await exited
  }

  stop() {
    return this.kill()
  }
}

export class GatewayEdge extends Edge {
  #issuer
  #worker
  #origin
  #kill
  #lines
  /** The number of lines that were looked at. */
  #seen

  /** `worker` is the folder of its bundle. */
  constructor(name, tolerance, { issuer, worker }) {
    super(name, tolerance)
    this.#issuer = issuer
    this.#worker = worker
  }

  /** Takes the code and the failures from the log, because the response does not have them. */
  async ask(token, repetitions) {
    const answer = await super.ask(token, repetitions)
    for (const line of this.#lines.slice(this.#seen)) if (line.event === 'fetch_failed') this.noteFailure(line.code)
    if (answer.status !== 200) answer.code += ` after the lines ${JSON.stringify(this.#lines.slice(-LINES))}`
    this.#lines.splice(0, this.#lines.length - LINES)
    this.#seen = this.#lines.length
    return answer
  }

  async start() {
    this.isDown = true
    this.#origin ??= await startOrigin()
    const bindings = {
      ISSUER: this.#issuer,
      AUDIENCE: OPTIONS.audience,
      ORIGIN: `http://127.0.0.1:${this.#origin.address().port}`,
      ROUTES: [{ path: '/notes', scope: 'read' }],
      VERIFIER: { jwksOptions: OPTIONS.jwksOptions, clockTolerance: this.tolerance },
      STATUS,
      REFRESH_SECONDS: 3,
    }
    const { url, lines } = await startGateway({ after: (kill) => (this.#kill = kill) }, this.#worker, bindings)
    this.#lines = lines
    this.#seen = 0
    this.url = new URL('/notes', url).href
    this.pid = await childNamed('workerd')
    this.isDown = false
  }

  /** Its isolates and their Cache API are gone. */
  async kill() {
    this.isDown = true
    await this.#kill?.()
  }

  async stop() {
    await this.kill()
    this.#origin?.close()
    this.#origin?.closeAllConnections()
  }
}

async function startOrigin() {
  const origin = createServer((request, response) => response.end()).listen(0, '127.0.0.1')
  await once(origin, 'listening')
  return origin
}

/** Finds the process of that name which this process has started. */
async function childNamed(name) {
  const ids = (await readdir('/proc')).filter((id) => /^\d+$/.test(id))
  for (const id of ids) {
    const stat = await readFile(`/proc/${id}/stat`, 'utf8').catch(() => '')
    const [, found, parent] = /^\d+ \((.*)\) \S (\d+)/.exec(stat) ?? []
    if (found === name && Number(parent) === process.pid) return Number(id)
  }
  throw new Error(`no process ${name} was started`)
}
