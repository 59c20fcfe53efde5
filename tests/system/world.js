// The whole system: two issuers on a primary with a synchronous standby, a proxy, two Node.js verifiers, the gateway in workerd,
// clients, and a browser with a session. All of it is real, and on loopback.
import { bundleGateway } from '../packaging/gateway.js'
import { isSkipped } from '../runtimes/skip.js'
import { Browser } from './browser.js'
import { Database } from './database.js'
import { GatewayEdge, NodeEdge } from './edges.js'
import { Faults } from './faults.js'
import { Issuers } from './issuers.js'
import { Judge } from './judge.js'
import { Ledger } from './ledger.js'
import { DOCUMENTS, Proxy } from './proxy.js'
import { Random } from './random.js'
import { Sessions } from './sessions.js'
import { Tokens } from './tokens.js'
import { Watch } from './watch.js'

export class World {
  #stops = []
  #browser
  #tokens
  #watch

  /**
   * Starts everything, and the load. `random` decides the faults.
   *
   * @param {{ seed: number, say?: (line: string) => void }} options
   * @returns {Promise<World>}
   */
  static async start({ seed, say = () => {} }) {
    const world = new World()
    try {
      await world.#start(new Random(seed), say)
      return world
    } catch (error) {
      await world.stop()
      throw error
    }
  }

  async #start(random, say) {
    const [ofFaults, ofProxy, ofSessions, ofTokens] = Array.from({ length: 4 }, () => random.fork())
    const stopping = (one) => (this.#stops.push(() => one.stop()), one)
    const bundled = await bundleGateway()
    this.#stops.push(() => bundled.remove())
    this.database = stopping(await Database.start())
    this.proxy = stopping(await Proxy.start(ofProxy))
    const { url } = this.proxy
    this.#browser = isSkipped(['chromium']) ? undefined : stopping(await Browser.start())
    this.issuers = stopping(await Issuers.start(2, this.database, url, this.#browser?.origin))
    this.proxy.leadTo(this.issuers)

    this.edges = [
      new NodeEdge('node', 0, { issuer: url, cache: 0 }),
      new NodeEdge('tolerant node', 300, { issuer: url, cache: 100 }),
      new GatewayEdge('gateway', 20, { issuer: url, worker: bundled.worker }),
    ]
    for (const edge of this.edges) await stopping(edge).start()

    this.say = (line) => say(`${this.ledger.now().toFixed(0).padStart(5)} s  ${line}`)
    this.ledger = new Ledger(({ promise, text, during }) => this.say(`VIOLATION (${promise}) ${text}; during ${during}`))
    const judge = new Judge(this.ledger, this.proxy)
    this.#tokens = new Tokens(this.edges, judge, this.ledger, ofTokens)
    const issued = (text, session) => (text === undefined ? this.#tokens.watch(session) : this.#tokens.add(text, session))
    this.sessions = new Sessions(url, this.ledger, ofSessions, issued)
    this.faults = new Faults(this, ofFaults)
    await this.watchReadiness()
    this.sessions.start()
    this.#tokens.start()
    this.#stops.push(() => this.#stopLoad())
    // A fault may be about to start something again.
    this.#stops.push(() => this.faults.stop())
    await this.#browser?.open(url, this.ledger, issued)
  }

  /** Watches readiness and memory. `path` is where issuers are asked. */
  watchReadiness = async (path) => {
    await this.#watch?.stop()
    this.#watch = new Watch(this, path)
    this.#watch.start()
  }

  /** The edge may not use the documents that it had. */
  forget = (edge) => {
    edge.startedAt = Date.now()
    for (const document of DOCUMENTS) this.proxy.arrivals(edge.name, document).forget()
  }

  /** Ends the load, and checks that nothing is lost. */
  async end() {
    await this.#stopLoad()
    await this.sessions.check()
  }

  async #stopLoad() {
    await Promise.all([this.sessions.stop(), this.#tokens.stop(), this.#watch.stop(), this.#browser?.stopLoad()])
  }

  async stop() {
    for (const stop of this.#stops.splice(0).reverse()) await stop()
  }
}
