// The simulated issuer and the caches of a CDN before it: what they answer, and how often they are asked.

/** The time of a request to the issuer and back: seconds. */
const ROUND_TRIP = 0.1

/** The issuer's documents, by URL. It counts the requests of each second. */
export class Origin {
  #world
  #documents = new Map()
  /** The number of requests in each second since the start. */
  requests = []
  /** False during an outage: it answers 503. */
  up = true

  constructor(world) {
    this.#world = world
  }

  /** @param {{ text: string, maxAge: () => number }} document `maxAge`: the lifetime that a response has now, in seconds */
  publish(url, document) {
    this.#documents.set(url, { ...document, etag: `"${this.#documents.size}-${document.text.length}"` })
  }

  async answer(url) {
    count(this.requests, this.#world)
    await this.#world.sleep(ROUND_TRIP)
    if (!this.up) return undefined
    const { maxAge, ...document } = this.#documents.get(url)
    return { ...document, maxAge: maxAge(), at: this.#world.now }
  }
}

/** The cache of one point of presence: a copy for each URL until its `max-age` is over, and one request to the issuer at a time. */
export class Cache {
  #world
  #origin
  #copies = new Map()

  constructor(world, origin) {
    this.#world = world
    this.#origin = origin
  }

  /** Drops all copies. */
  purge() {
    this.#copies.clear()
  }

  async answer(url) {
    const copy = this.#copies.get(url) ?? {}
    this.#copies.set(url, copy)
    const { document } = copy
    if (document !== undefined && this.#world.now < document.at + document.maxAge) return document
    copy.renewing ??= this.#origin.answer(url).then((renewed) => {
      copy.renewing = undefined
      return (copy.document = renewed)
    })
    return copy.renewing
  }
}

/** Returns a `fetch` that asks an origin or a cache, and counts. */
export function fetchFrom(source, world, counts) {
  return async (url, { headers }) => {
    count(counts, world)
    const document = await source.answer(url)
    if (document === undefined) return new Response('', { status: 503 })
    const { text, etag, maxAge, at } = document
    const answered = { etag, 'cache-control': `max-age=${maxAge}`, age: String(Math.floor(world.now - at)) }
    const known = headers['if-none-match'] === etag
    return new Response(known ? null : text, { status: known ? 304 : 200, headers: answered })
  }
}

function count(counts, { elapsed }) {
  const second = Math.floor(elapsed)
  counts[second] = (counts[second] ?? 0) + 1
}
