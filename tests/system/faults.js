// Everything that goes wrong. A fault is chosen by the seed, happens, and ends with everything whole again.
import { setTimeout as sleep } from 'node:timers/promises'
import { CLOCK_SKEW } from './issuers.js'
import { DOCUMENT_FAULTS, DOCUMENTS } from './proxy.js'

/** The time within which all clients go on after a fault: milliseconds. */
const RECOVERS_WITHIN = 60_000

/**
 * The faults of issuers and their database, one at a time. `choose` returns the arguments of `happen` after the world, all of
 * which the seed decides.
 */
const CORE = [
  { name: 'issuer killed', choose: (random) => [random.below(2), random.between(200, 3000)], happen: killIssuer },
  { name: 'all issuers killed', choose: (random) => [random.between(200, 2000)], happen: killIssuers },
  { name: 'primary killed', choose: (random) => [random.between(200, 10_000)], happen: killPrimary },
  { name: 'failover', choose: (random) => [random.between(0, 2000)], happen: failOver },
  { name: 'standby killed', choose: (random) => [random.between(500, 5000)], happen: killStandby },
  { name: 'disk full', choose: (random) => [random.between(2000, 6000)], happen: fillDisk },
  { name: 'log blocked', choose: (random) => [random.below(2), random.between(4000, 10_000)], happen: blockLog },
  { name: 'answers lost', choose: (random) => [random.between(2, 8) / 10, random.between(2000, 8000)], happen: loseAnswers },
  { name: 'clock of an issuer ahead', choose: (random) => [random.between(2, CLOCK_SKEW - 2)], happen: setIssuerClock, needs: 'faketime' },
  { name: 'keys rotated', choose: () => [], happen: rotateKeys },
]

/** The faults on the way to the edges and at the edges, one at a time, at the same time as the others. */
const EDGES = [
  ...DOCUMENT_FAULTS.map((fault) => ({ name: `documents ${fault}`, choose: chooseDocuments(fault), happen: spoilDocuments })),
  { name: 'clock of an edge', choose: (random) => [random.between(-290, 290)], happen: setEdgeClock },
  { name: 'edge killed', choose: (random) => [random.below(3), random.between(0, 1000)], happen: killEdge },
]

/** Two lanes of faults at the same time. */
export class Faults {
  #world
  #lanes
  #isStopping = false
  #running
  /** The time since when issuers and database are left alone. */
  calmSince = Date.now()

  constructor(world, random) {
    this.#world = world
    this.#lanes = lanesOf(random)
  }

  start() {
    this.#running = Promise.all(Object.keys(this.#lanes).map((lane) => this.#run(lane)))
  }

  async stop() {
    this.#isStopping = true
    await this.#running
  }

  /** Lets one fault happen, and waits until all clients go on. */
  async happen(lane, { name, given, happen }, recoversWithin = RECOVERS_WITHIN) {
    const { ledger, say } = this.#world
    say(`${lane}: ${name} (${given.join(', ')})`)
    const end = ledger.begin(lane, name)
    if (lane === 'core') this.calmSince = undefined
    await happen(this.#world, ...given)
    end()
    if (lane !== 'core') return
    this.calmSince = Date.now()
    if (!(await this.#recovers(recoversWithin))) ledger.violate('stuck', `a client got no answer for ${recoversWithin / 1000} s after: ${name}`)
  }

  async #run(lane) {
    for (const fault of this.#lanes[lane]) {
      await this.#pause(fault.pause)
      if (this.#isStopping) return
      await this.happen(lane, fault)
    }
  }

  async #pause(milliseconds) {
    for (const end = Date.now() + milliseconds; Date.now() < end && !this.#isStopping; ) await sleep(100)
  }

  async #recovers(within) {
    const { progress } = this.#world.sessions
    const before = [...progress]
    for (const end = Date.now() + within; Date.now() < end; await sleep(100)) {
      if (progress.every((count, client) => count > before[client])) return true
    }
    return false
  }
}

/** Returns the faults to come. A generator with the same seed returns the same ones. */
export function lanesOf(random) {
  return { core: plan(withoutSkipped(CORE), random.fork()), edges: plan(EDGES, random.fork()) }
}

/** Yields the faults in an order that the seed decides, each of them before one is repeated. */
function* plan(faults, random) {
  for (;;) {
    for (const { name, choose, happen } of random.shuffled(faults)) yield { name, happen, pause: random.between(500, 3000), given: choose(random) }
  }
}

function withoutSkipped(faults) {
  const skipped = (process.env.COUNTERSIGN_SKIP ?? '').split(',').map((name) => name.trim())
  return faults.filter(({ needs }) => !skipped.includes(needs))
}

async function killIssuer({ issuers }, index, milliseconds) {
  await issuers.kill(index)
  await sleep(milliseconds)
  await issuers.start(index)
}

async function killIssuers({ issuers }, milliseconds) {
  const all = [...Array(issuers.count).keys()]
  await Promise.all(all.map((index) => issuers.kill(index)))
  await sleep(milliseconds)
  await Promise.all(all.map((index) => issuers.start(index)))
}

async function killPrimary({ database }, milliseconds) {
  await database.crash()
  await sleep(milliseconds)
  await database.restart()
}

async function failOver({ database }, milliseconds) {
  await database.crash()
  await sleep(milliseconds)
  await database.failOver()
}

/** Commits wait for it. */
async function killStandby({ database }, milliseconds) {
  await database.crashStandby()
  await sleep(milliseconds)
  await database.restartStandby()
}

async function fillDisk({ database }, milliseconds) {
  await database.fillDisk()
  await sleep(milliseconds)
  await database.freeDisk()
}

/** Nobody reads the pipe of its log any more. */
async function blockLog({ issuers }, index, milliseconds) {
  const { log } = issuers.at(index)
  log.pause()
  await sleep(milliseconds)
  log.resume()
}

/** The issuers do their work, and clients do not hear of it. */
async function loseAnswers({ proxy }, share, milliseconds) {
  proxy.lost = share
  await sleep(milliseconds)
  proxy.lost = 0
}

/** Or the clock is right again, if it was ahead. */
async function setIssuerClock({ issuers }, ahead) {
  await issuers.setClock(1, issuers.clockOf(1) === 0 ? ahead : 0)
}

/** Both issuers change their keys as soon as every cache can have the next one; they do it by themselves too. */
async function rotateKeys({ issuers }) {
  // It is refused while a rotation is under way.
  await issuers.at(0).run(['keys', 'rotate']).catch(() => {})
}

function chooseDocuments(fault) {
  return (random) => {
    const edges = random.shuffled([0, 1, 2]).slice(0, random.between(1, 3))
    const documents = random.shuffled(DOCUMENTS).slice(0, random.between(1, DOCUMENTS.length))
    return [fault, edges, documents, random.between(1000, 12_000)]
  }
}

async function spoilDocuments({ proxy, edges }, fault, chosen, documents, milliseconds) {
  const set = (fault) => {
    for (const index of chosen) for (const document of documents) proxy.setFault(edges[index].name, document, fault)
  }
  set(fault)
  await sleep(milliseconds)
  set(undefined)
}

/** The second edge tolerates other clocks. */
async function setEdgeClock({ edges, forget }, ahead) {
  await edges[1].setClock(ahead)
  forget(edges[1])
}

async function killEdge({ edges, forget }, index, milliseconds) {
  await edges[index].kill()
  await sleep(milliseconds)
  forget(edges[index])
  await edges[index].start()
}
