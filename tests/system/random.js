/** Random numbers that a seed repeats (mulberry32). */
export class Random {
  #state

  constructor(seed) {
    this.#state = seed >>> 0
  }

  /** Returns another generator, so that one consumer does not change the numbers of another. */
  fork() {
    return new Random(this.below(2 ** 32))
  }

  /** Returns a number from 0 up to 1. */
  next() {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let mixed = this.#state
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }

  /** Returns a whole number below `end`. */
  below(end) {
    return Math.floor(this.next() * end)
  }

  /** Returns a whole number from `start` to `end`. */
  between(start, end) {
    return start + this.below(end - start + 1)
  }

  pick(list) {
    return list[this.below(list.length)]
  }

  /** Returns the list in another order. */
  shuffled(list) {
    const shuffled = [...list]
    for (let last = shuffled.length - 1; last > 0; last--) {
      const other = this.below(last + 1)
      ;[shuffled[last], shuffled[other]] = [shuffled[other], shuffled[last]]
    }
    return shuffled
  }
}
