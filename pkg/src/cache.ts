import type { JwtPayload, Verified, VerifierOptions } from './types.js'

/** The policy's options that change a token's own times, in seconds. */
export type TimeLimits = Pick<VerifierOptions, 'clockTolerance' | 'maxTokenAge'>

/**
 * Remembers verified tokens, so that the same text is verified once. Each hit checks the token's times. After a change of
 * the keys, call {@link VerifiedTokens.clear}.
 *
 * The cache has two generations. An entry that is used moves to the young one. When the young generation is full, all
 * entries of the old one are dropped, and the young one takes its place. So the most recently used half stays, and most
 * hits write nothing. An eviction takes the same time with a million tokens as with a hundred. Deleting the first entry
 * of a `Map` takes longer if the map is large.
 */
export class VerifiedTokens {
  readonly #generationSize: number
  readonly #limits: TimeLimits
  #young = new Map<string, Entry>()
  #old = new Map<string, Entry>()

  /** Holds at most `capacity` tokens. An odd capacity is rounded up. */
  constructor(capacity: number, limits: TimeLimits) {
    this.#generationSize = Math.ceil(capacity / 2)
    this.#limits = limits
  }

  /** Returns the remembered result for exactly this text, if it is certain to hold at `now`. */
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

  /** Remembers a token that was just verified. */
  add(token: string, verified: Verified): void {
    const copy = copyOf(token)
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

/** Copies a text. A substring keeps the whole text in memory, such as the request around a token. */
function copyOf(text: string): string {
  return JSON.parse(JSON.stringify(text))
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
 * Returns the end of the signature: at least 128 bits, which no two tokens share by chance. A `Map` hashes it faster
 * than the whole token. `find` then compares the whole token, and the time of that depends on the content. Only a token
 * that ends like a valid signature gets that far.
 */
function keyOf(token: string): string {
  return token.slice(-22)
}

/**
 * Returns the span in which the WebAssembly module is certain to accept the times of this payload.
 *
 * The module reads times as exact decimals; a `number` is rounded. Near the latest time that the option `now` may
 * return, it is wrong by up to 8 µs, and a sum of three by more. So the module itself decides within {@link MARGIN} of
 * a limit.
 */
function spanOf({ exp, nbf = 0, iat }: JwtPayload, { clockTolerance = 0, maxTokenAge = Infinity }: TimeLimits): Span {
  return {
    from: Math.max(nbf, iat ?? 0) - clockTolerance + MARGIN,
    until: Math.min(exp, (iat ?? Infinity) + maxTokenAge) + clockTolerance - MARGIN,
  }
}

/** In seconds. */
const MARGIN = 0.001
