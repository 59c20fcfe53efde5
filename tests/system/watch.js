// Readiness and memory, sampled all the time.
import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'

/** The most that a process may take: MiB. The issuers hash with at most 256 MiB at a time. */
const MOST_MEMORY = 384

/** The longest time from an outage of the database to "not ready": milliseconds. */
const NOTICED_WITHIN = 6000

/** The longest time from the end of a fault to "ready": milliseconds. */
const READY_WITHIN = 45_000

export class Watch {
  #world
  #path
  #isStopping = false
  #running

  /** `path` is where it asks for readiness. */
  constructor(world, path = '/healthz/ready') {
    this.#world = world
    this.#path = path
  }

  start() {
    const { issuers } = this.#world
    const asking = Array.from({ length: issuers.count }, (_, index) => this.#askAgainAndAgain(index))
    this.#running = Promise.all([...asking, this.#measureMemory()])
  }

  async stop() {
    this.#isStopping = true
    await this.#running
  }

  async #askAgainAndAgain(index) {
    while (!this.#isStopping) {
      await sleep(500)
      await this.#ask(index)
    }
  }

  async #ask(index) {
    const { issuers, database, ledger, faults } = this.#world
    const issuer = issuers.at(index)
    if (issuer === undefined) return
    const { downSince } = database
    const calmSince = faults.calmSince
    const sentAt = Date.now()
    const status = await fetch(issuer.url + this.#path, { signal: AbortSignal.timeout(10_000) }).then((response) => response.status, () => 0)
    // Whatever changed meanwhile, no answer is judged that may be from before it.
    if (issuers.at(index) !== issuer || database.downSince !== downSince || faults.calmSince !== calmSince) return
    const isReady = status === 200
    if (isReady && downSince !== undefined && sentAt - downSince > NOTICED_WITHIN) {
      ledger.violate('readiness', `an issuer says ready ${((sentAt - downSince) / 1000).toFixed(1)} s after its database went away`)
    }
    if (!isReady && calmSince !== undefined && sentAt - calmSince > READY_WITHIN) {
      ledger.violate('readiness', `an issuer is not ready (${status}) although nothing is in its way`)
    }
  }

  async #measureMemory() {
    const { issuers, edges, ledger } = this.#world
    while (!this.#isStopping) {
      const processes = edges.filter(({ isDown }) => !isDown).map(({ name, pid }) => [name, pid])
      for (let index = 0; index < issuers.count; index++) processes.push([`issuer ${index + 1}`, issuers.at(index)?.pid])
      const memory = {}
      for (const [name, pid] of processes) {
        const used = pid && (await memoryOf(pid))
        if (!used) continue
        memory[name] = used
        if (used > MOST_MEMORY) ledger.violate('memory', `${name} takes ${used.toFixed(0)} MiB, more than ${MOST_MEMORY}`)
      }
      ledger.measureMemory(memory)
      await sleep(1000)
    }
  }
}

/** Returns the memory of a process in MiB; `undefined` if it has ended. */
async function memoryOf(pid) {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '')
  const [, kilobytes] = /^VmRSS:\s+(\d+) kB$/m.exec(status) ?? []
  return kilobytes && Number(kilobytes) / 1024
}
