// Virtual time for code that uses timers, chance and streams. An hour with thousands of verifiers passes in seconds.
import { inflateSync } from 'node:zlib'

/** The length of a step: seconds. What happens in one step happens at the same time. */
export const STEP = 0.1

const START = 1_700_000_000

/** The clock, the timers and the chance of a simulation. They replace those of the process while it runs. */
export class World {
  #steps = 0
  #timers = new Map()
  #lastTimer = 0
  #inflating = 0
  /** Returns a number from 0 to 1, repeatable by the seed. */
  random

  constructor(seed) {
    this.random = seeded(seed)
  }

  /** Seconds since the UNIX epoch. */
  get now() {
    return START + this.elapsed
  }

  /** Seconds since the start. */
  get elapsed() {
    return this.#steps * STEP
  }

  /**
   * Runs a simulation with the timers of this world. `chance` replaces `Math.random`.
   *
   * @template T
   * @param {() => Promise<T>} simulate
   * @returns {Promise<T>}
   */
  async run(simulate, chance = this.random) {
    const { setTimeout, clearTimeout, DecompressionStream } = globalThis
    const { random } = Math
    Object.assign(globalThis, this.#replacements())
    Math.random = chance
    try {
      return await simulate()
    } finally {
      Object.assign(globalThis, { setTimeout, clearTimeout, DecompressionStream })
      Math.random = random
    }
  }

  /** Resolves after that many seconds of virtual time. */
  sleep(seconds) {
    return new Promise((resolve) => setTimeout(resolve, seconds * 1000))
  }

  /** Lets one step pass, and everything happen that is due by then. */
  async step() {
    this.#steps++
    for (const [id, { at, call }] of this.#timers) {
      if (at > this.elapsed) continue
      this.#timers.delete(id)
      call()
    }
    await this.settle()
  }

  /** Waits until all work that needs no virtual time is done. */
  async settle() {
    do await new Promise(setImmediate)
    while (this.#inflating > 0)
  }

  #replacements() {
    const world = this
    return {
      setTimeout(call, ms = 0, ...args) {
        // Half a step covers rounding.
        world.#timers.set(++world.#lastTimer, { at: world.elapsed + ms / 1000 - STEP / 2, call: () => call(...args) })
        return world.#lastTimer
      },
      clearTimeout: (id) => void world.#timers.delete(id),
      // The platform inflates on another thread, which virtual time would not wait for.
      DecompressionStream: class extends TransformStream {
        constructor() {
          const chunks = []
          world.#inflating++
          super({
            transform: (chunk) => void chunks.push(chunk),
            flush(controller) {
              controller.enqueue(new Uint8Array(inflateSync(Buffer.concat(chunks))))
              world.#inflating--
            },
          })
        }
      },
    }
  }
}

/** The generator mulberry32. */
function seeded(seed) {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
