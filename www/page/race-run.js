/**
 * @typedef {object} Contestant
 * @property {string} name
 * @property {(tokens: string[]) => void | Promise<void>} run verifies these tokens
 *
 * @typedef {object} Standing
 * @property {string} name
 * @property {number} count the tokens verified in its timed turns
 * @property {number[]} times the time of a token in each round, in milliseconds
 */

/** How long each contestant runs before the race, so that compilers finish. */
const WARM_UP_MS = 120
/** A turn is long against the steps of the clock, and short enough for a page that responds. */
const SHORTEST_TURN_MS = 4
const LONGEST_TURN_MS = 10
/** The rounds of a race that is neither too short nor too long for its turns. */
const ROUNDS = 40

/** Bounds of the warm-up for a clock that stands still. */
const MOST_TURNS = 100
const MOST_TOKENS = 4096

/** The tokens of a first turn, and those before each timed turn: the contestant before left its code in the caches. */
const LEAD_IN = 16

/**
 * Lets contestants verify tokens, in turns of the same length. Each has one turn a round, in a new random order, so that other
 * load of the machine hits all of them. The race ends when the first has verified `length` tokens.
 *
 * @param {Contestant[]} contestants
 * @param {string[]} tokens each turn takes the next ones, in a circle
 * @param {object} options
 * @param {number} options.length
 * @param {AbortSignal} options.signal ends the race before its end
 * @param {() => Promise<unknown>} options.pause lets the page respond between two turns
 * @param {() => Promise<unknown>} options.frame lets the page paint before a round, or waits until it is seen
 * @param {() => unknown} options.disturbance a round does not count if this value has changed meanwhile
 * @param {(standings: Standing[]) => unknown} options.onRound
 * @param {() => number} [options.clock] returns milliseconds
 * @returns {Promise<Standing[]>} in the order of the contestants
 */
export async function race(contestants, tokens, { length, signal, pause, frame, disturbance, onRound, clock = () => performance.now() }) {
  const runners = contestants.map((contestant) => new Runner(contestant, tokens, clock))
  for (const runner of runners) await runner.warmUp(signal, pause)
  const fastest = Math.min(...runners.map(({ pace }) => pace))
  const turn = Math.min(Math.max((length * fastest) / ROUNDS, SHORTEST_TURN_MS), LONGEST_TURN_MS)
  const standings = () => runners.map(({ name, count, times }) => ({ name, count, times }))

  while (!signal.aborted && runners.every(({ count }) => count < length)) {
    await frame()
    const before = disturbance()
    const turns = []
    for (const runner of shuffled(runners)) {
      turns.push([runner, await runner.turn(turn, length)])
      await pause()
    }
    if (disturbance() !== before || signal.aborted) continue
    for (const [runner, result] of turns) runner.take(result)
    onRound(standings())
  }
  return standings()
}

class Runner {
  count = 0
  times = []
  /** The time of a token in the last turn, in milliseconds. */
  pace
  #contestant
  #tokens
  #clock
  #next = 0
  #spent = 0

  constructor(contestant, tokens, clock) {
    this.#contestant = contestant
    this.#tokens = tokens
    this.#clock = clock
  }

  get name() {
    return this.#contestant.name
  }

  async warmUp(signal, pause) {
    let size = LEAD_IN
    const end = this.#clock() + WARM_UP_MS
    for (let turns = 0; turns < MOST_TURNS && this.#clock() < end && !signal.aborted; turns += 1) {
      const elapsed = await this.#time(size)
      this.pace = elapsed / size
      if (elapsed < SHORTEST_TURN_MS) size = Math.min(size * 2, MOST_TOKENS)
      await pause()
    }
    // A clock that stands still, or a race that was ended.
    this.pace ||= SHORTEST_TURN_MS / size
  }

  /** Verifies as many tokens as fit into the time that this contestant has had less than `turn` for each round. */
  async turn(turn, length) {
    const due = turn * (this.times.length + 1) - this.#spent
    const size = Math.min(Math.max(Math.round(Math.min(due, 2 * turn) / this.pace), 1), length - this.count)
    await this.#time(LEAD_IN)
    const elapsed = await this.#time(size)
    return { size, elapsed }
  }

  take({ size, elapsed }) {
    this.count += size
    this.#spent += elapsed
    this.times.push(elapsed / size)
    if (elapsed > 0) this.pace = elapsed / size
  }

  async #time(size) {
    const tokens = []
    for (; tokens.length < size; this.#next += 1) tokens.push(this.#tokens[this.#next % this.#tokens.length])
    const start = this.#clock()
    const pending = this.#contestant.run(tokens)
    // `await` costs a turn of the event loop even without a promise.
    if (pending !== undefined) await pending
    return this.#clock() - start
  }
}

function shuffled(items) {
  const order = [...items]
  for (let at = order.length - 1; at > 0; at -= 1) {
    const other = Math.floor(Math.random() * (at + 1))
    ;[order[at], order[other]] = [order[other], order[at]]
  }
  return order
}
