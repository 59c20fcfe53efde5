// Everything that was counted, measured and found, on one time line.

/** The promises, and each way to break one. */
export const PROMISES = {
  refused: 'a valid token was refused',
  accepted: 'an invalid or expired token was accepted',
  revoked: 'a revoked token was accepted for too long',
  lost: 'an answered login, refresh or logout was lost',
  doubled: 'a session has two live successors',
  readiness: 'readiness does not tell the truth',
  memory: 'a process takes too much memory',
  stuck: 'work does not go on after a fault',
}

/** The most violations of one promise that are kept: it may break again with each request. */
const MOST_VIOLATIONS = 200

/** The interval of the timer that notices a process that is held up: milliseconds. */
const BEAT = 100

export class Ledger {
  startedAt = Date.now()
  counts = {}
  /** `{ at, promise, text, during }` */
  violations = []
  /** `{ lane, name, from, to }`, times in seconds since the start. */
  faults = []
  /** For each second: `{ done, errors, verify: number[], refresh: number[], memory }`, latencies in milliseconds. */
  seconds = []
  /** The seconds from the answer to a logout until the first refusal, by edge, with and without faults meanwhile. */
  revocations = {}
  /** When this process was held up: `{ at, milliseconds }`. */
  #stalls = []
  #violated

  /** Calls `violated` with each violation. */
  constructor(violated = () => {}) {
    this.#violated = violated
    let before = Date.now()
    setInterval(() => {
      const milliseconds = Date.now() - before - BEAT
      before = Date.now()
      if (milliseconds > BEAT) this.#stalls.push({ at: before, milliseconds })
    }, BEAT).unref()
  }

  /** Returns for how long this process was held up since that time: milliseconds. Its times are wrong by no more. */
  stalledSince(time) {
    return this.#stalls.reduce((sum, { at, milliseconds }) => (at > time ? sum + milliseconds : sum), 0)
  }

  /** Returns the seconds since the start. */
  now() {
    return (Date.now() - this.startedAt) / 1000
  }

  count(name) {
    this.counts[name] = (this.counts[name] ?? 0) + 1
    this.#second().done++
  }

  /** A request had no answer, or one that says "later". */
  countUnanswered() {
    this.counts.unanswered = (this.counts.unanswered ?? 0) + 1
    this.#second().unanswered++
  }

  /** @param {'verify' | 'refresh'} kind */
  measure(kind, milliseconds) {
    this.#second()[kind].push(milliseconds)
  }

  /** @param {Record<string, number>} memory MiB by process */
  measureMemory(memory) {
    this.#second().memory = memory
  }

  /** `isDisturbed`: a fault made it longer, maybe. */
  revoked(edge, isDisturbed, seconds) {
    const name = `${edge}, ${isDisturbed ? 'with a fault' : 'without a fault'}`
    ;(this.revocations[name] ??= []).push(seconds)
  }

  /** Begins a fault. Returns a function that ends it. */
  begin(lane, name) {
    const fault = { lane, name, from: this.now() }
    this.faults.push(fault)
    return () => (fault.to = this.now())
  }

  violate(promise, text) {
    if (this.violations.filter((violation) => violation.promise === promise).length === MOST_VIOLATIONS) return
    const during = this.faults.filter(({ to }) => to === undefined).map(({ name }) => name).join(', ') || 'no fault'
    const violation = { at: this.now(), promise, text, during }
    this.violations.push(violation)
    this.#violated(violation)
  }

  #second() {
    const index = Math.floor(this.now())
    while (this.seconds.length <= index) this.seconds.push({ done: 0, unanswered: 0, verify: [], refresh: [] })
    return this.seconds[index]
  }
}

/** Returns the value below which `share` of the values are. */
export function quantile(values, share) {
  const sorted = [...values].sort((one, other) => one - other)
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]
}

/** Counts faults by name. */
export function timesOf(faults) {
  const times = {}
  for (const { name } of faults) times[name] = (times[name] ?? 0) + 1
  return times
}
