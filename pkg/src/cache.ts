import type { JwtPayload, Verified } from './types.js'

/** The times that a policy allows beyond a token's own, in seconds. */
export interface TimeLimits {
  clockTolerance: number
  maxTokenAge: number
}

/**
 * Remembers tokens that passed, so that the same text passes again without another look at it. What a verdict hangs on
 * besides the text: the time is looked at on each hit; other keys want a {@link VerifiedTokens.clear}.
 *
 * There are two generations. What is used moves to the young one; when that is full it becomes the old one, and the old
 * one is dropped whole. At least the most recently used half is kept, most hits write nothing, and a million tokens take
 * no longer to move on than a hundred, which is not so where the first entry of a `Map` is deleted to make room.
 */
export class VerifiedTokens {
  readonly #generationSize: number
  readonly #limits: TimeLimits
  #young = new Map<string, Entry>()
  #old = new Map<string, Entry>()

  /** Holds at most `capacity` tokens, an odd number rounded up. */
  constructor(capacity: number, limits: TimeLimits) {
    this.#generationSize = Math.ceil(capacity / 2)
    this.#limits = limits
  }

  /** The verdict on exactly this text, where it is known and stands at `now` beyond doubt. */
  find(token: string, now: number): Verified | undefined {
    const key = keyOf(token)
    const young = this.#young.get(key)
    const entry = young ?? this.#old.get(key)
    if (entry === undefined || entry.token !== token) return undefined
    if (!(now > entry.from && now < entry.until)) {
      this.#young.delete(key)
      this.#old.delete(key)
      return undefined
    }
    if (young === undefined) this.#keep(key, entry)
    return entry.verified
  }

  /** Remembers a token that has just passed. */
  add(token: string, verified: Verified): void {
    const copy = ownCopy(token)
    this.#keep(keyOf(copy), { token: copy, verified, ...spanOf(verified.payload, this.#limits) })
  }

  /** Forgets every token. */
  clear(): void {
    this.#young.clear()
    this.#old.clear()
  }

  #keep(key: string, entry: Entry): void {
    if (this.#young.size >= this.#generationSize) {
      this.#old = this.#young
      this.#young = new Map()
    }
    this.#young.set(key, entry)
  }
}

interface Entry extends Span {
  readonly token: string
  readonly verified: Verified
}

/** Open at both ends, in seconds since the UNIX epoch. */
interface Span {
  readonly from: number
  readonly until: number
}

/**
 * The last of the signature: at least 128 bits, which no two tokens share by chance. Hashing it takes a fraction of what
 * hashing the whole token takes. And the comparison of the whole, whose time depends on how much is alike, is reached
 * only by those who have this much of a good signature.
 */
function keyOf(token: string): string {
  return token.slice(-22)
}

/** Engines let a piece of a text keep the whole alive, such as a token the request that it came in. */
function ownCopy(token: string): string {
  return decoder.decode(encoder.encode(token))
}

const encoder = new TextEncoder()
const decoder = new TextDecoder()

/**
 * When the WebAssembly module is certain to find the times of this payload good.
 *
 * It reads dates as decimals and rounds nothing, while a `number` near the latest time that the option `now` may return
 * is off by up to 8 µs, and a sum of three by some more. So close to a limit the module itself has to say.
 */
function spanOf({ exp, nbf = 0, iat }: JwtPayload, { clockTolerance, maxTokenAge }: TimeLimits): Span {
  return {
    from: Math.max(nbf, iat ?? 0) - clockTolerance + MARGIN,
    until: Math.min(exp, (iat ?? Infinity) + maxTokenAge) + clockTolerance - MARGIN,
  }
}

/** Seconds. */
const MARGIN = 0.001
