// Measures contestants side by side. Each takes one turn a round, in a new random order. Other load on the machine hits all of
// them, and the results are medians over the rounds of times, and of ratios within a round. Load hits contestants harder if
// they wait for other threads, as WebCrypto does. Therefore the ratio of the undisturbed turns is reported too.

/**
 * The clock of the runtime. Its turns are shorter than a time slice of the scheduler. Most of them are therefore undisturbed
 * even on a busy machine.
 *
 * @type {Clock}
 */
const OWN_CLOCK = { now: () => performance.now(), turnMs: 2 }

const WARM_UP_MS = 160

/** The number of untimed items before each turn. Turns are multiples of it, because of `sixteenAtOnce`. */
const LEAD_IN = 16

/**
 * @typedef {object} Contestant
 * @property {string} name
 * @property {(items: unknown[]) => void | Promise<void>} run does its work once for each item
 */

/**
 * @typedef {object} Clock
 * @property {() => number | Promise<number>} now returns the milliseconds since some moment
 * @property {number} turnMs the longest turn of a contestant, in milliseconds; the shortest is half of it
 */

/**
 * @typedef {object} Comparison
 * @property {string} name of the contestant
 * @property {number} ns the median time for one item, in nanoseconds
 * @property {number} low the lower quartile
 * @property {number} high the upper quartile
 * @property {number} ratio the first contestant's time over this one's, the median over the rounds
 * @property {number} quiet the same ratio for the fastest tenth of their turns
 */

/**
 * @param {Contestant[]} contestants the others are compared with the first
 * @param {unknown[]} items the work, such as tokens; each turn takes the next ones, in a circle
 * @param {number} rounds
 * @param {Clock} [clock]
 * @returns {Promise<Comparison[]>}
 */
export async function measure(contestants, items, rounds, clock = OWN_CLOCK) {
  const entries = []
  for (const contestant of contestants) entries.push(await warmUp(contestant, items, clock))
  for (let round = 0; round < rounds; round++) {
    for (const entry of shuffled(entries)) {
      // The contestant before left its own code and data in the processor's caches.
      await time(entry, LEAD_IN)
      entry.times.push(await time(entry, entry.size))
    }
  }
  return compare(entries.map(({ contestant: { name }, times }) => ({ name, times })))
}

/**
 * Compares the times of contestants, one for each round, with those of the first.
 *
 * @param {{ name: string, times: number[] }[]} entries
 * @returns {Comparison[]}
 */
export function compare(entries) {
  const [first] = entries
  return entries.map(({ name, times }) => ({
    name,
    ns: quantile(times, 0.5),
    low: quantile(times, 0.25),
    high: quantile(times, 0.75),
    ratio: quantile(times.map((ns, round) => first.times[round] / ns), 0.5),
    quiet: quantile(first.times, 0.1) / quantile(times, 0.1),
  }))
}

/** Lets compilers finish, and finds the number of items that fill a turn. */
async function warmUp(contestant, items, clock) {
  const entry = { contestant, items, clock, next: 0, size: LEAD_IN, times: [] }
  for (const end = (await clock.now()) + WARM_UP_MS; (await clock.now()) < end; ) await time(entry, LEAD_IN)
  while ((await fastestOfThree(entry)) * entry.size < (clock.turnMs * 1e6) / 2) entry.size *= 2
  return entry
}

/** A single turn may be interrupted, or shorter than a step of the browser's clock. */
async function fastestOfThree(entry) {
  const times = []
  while (times.length < 3) times.push(await time(entry, entry.size))
  return Math.min(...times)
}

/** Works on the next `count` items. Returns the nanoseconds for one. */
async function time(entry, count) {
  const turn = []
  for (; turn.length < count; entry.next++) turn.push(entry.items[entry.next % entry.items.length])
  const start = await entry.clock.now()
  const pending = entry.contestant.run(turn)
  // `await` costs a turn of the event loop even without a promise.
  if (pending !== undefined) await pending
  return (((await entry.clock.now()) - start) * 1e6) / count
}

/** Returns the entries in a random order. */
export function shuffled(entries) {
  const order = [...entries]
  for (let at = order.length - 1; at > 0; at--) {
    const other = Math.floor(Math.random() * (at + 1))
    ;[order[at], order[other]] = [order[other], order[at]]
  }
  return order
}

export function median(numbers) {
  return quantile(numbers, 0.5)
}

export function quantile(numbers, share) {
  const sorted = numbers.toSorted((a, b) => a - b)
  const at = share * (sorted.length - 1)
  const below = sorted[Math.floor(at)]
  return below + (sorted[Math.ceil(at)] - below) * (at % 1)
}

/** One item after the other, by a synchronous function. */
export function oneByOneSync(name, work) {
  return {
    name,
    run(items) {
      for (const item of items) work(item)
    },
  }
}

/** One item after the other, by an asynchronous function. */
export function oneByOne(name, work) {
  return {
    name,
    async run(items) {
      for (const item of items) await work(item)
    },
  }
}

/** Sixteen items at once, by an asynchronous function. */
export function sixteenAtOnce(name, work) {
  return {
    name,
    async run(items) {
      for (let start = 0; start < items.length; start += 16) await Promise.all(items.slice(start, start + 16).map(work))
    },
  }
}
