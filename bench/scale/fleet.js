// Verifiers at the points of presence. They are those of the npm package, with its real caches; only network and time are not.
import { deflateSync } from 'node:zlib'
import { createVerifier } from 'countersign'
import { statusList } from 'countersign/status'
import { AUDIENCE, claims, ISSUER, makeKey, makeToken } from '../../tests/js/package-tokens.js'
import { Cache, fetchFrom, Origin } from './network.js'
import { STEP, World } from './world.js'

/** As our issuer answers by default (`jwks_max_age`), and always for lists (`ttl`): seconds. */
const [KEY_SET_MAX_AGE, LIST_TTL] = [300, 60]

const KEY_SET = `${ISSUER}/.well-known/jwks.json`
const FOREVER = { iat: 1_600_000_000, exp: 4_000_000_000 }

/**
 * @typedef {object} Setting
 * @property {number} points points of presence
 * @property {number} isolates verifiers at each of them
 * @property {number} rate tokens a second for each verifier, at random (a Poisson process)
 * @property {number} [lists] status lists, which the tokens name at random; with 0, no status is checked
 * @property {boolean} [cdn] each point has a cache, which all its verifiers ask
 * @property {boolean} [jitter] false takes the jitter of the package away
 * @property {number} [arrival] the verifiers start within so many seconds; with 0, all at once
 * @property {() => number} [maxAge] the lifetime of the key set: seconds
 * @property {number} seed
 */

/** A fleet of verifiers with its issuer. `run` of its world must be around everything. */
export class Fleet {
  origin
  /** The fetches of all verifiers in each second. */
  fetches = []
  verified = 0
  refused = 0
  /** The calls that had to wait for a fetch. */
  waited = 0
  caches = []
  #world
  #rate
  #tokens
  #verifiers = []
  #open = 0

  /** @returns {Promise<Fleet>} */
  static async start(world, setting) {
    const fleet = new Fleet(world, setting)
    await fleet.#addVerifiers(setting)
    return fleet
  }

  constructor(world, { rate, lists = 0, maxAge = () => KEY_SET_MAX_AGE }) {
    this.#world = world
    this.#rate = rate
    this.origin = new Origin(world)
    const key = makeKey('k1')
    this.origin.publish(KEY_SET, { text: JSON.stringify({ keys: [key.jwk] }), maxAge: () => maxAge(world.elapsed) })
    const uris = Array.from({ length: lists }, (_, at) => `${ISSUER}/status/${at + 1}`)
    for (const uri of uris) this.origin.publish(uri, { text: listOf(uri, key), maxAge: () => LIST_TTL })
    const statuses = uris.map((uri) => ({ status: { status_list: { idx: 0, uri } } }))
    this.#tokens = (lists === 0 ? [{}] : statuses).map((status) => makeToken(key, claims({ ...FOREVER, ...status })))
  }

  async #addVerifiers({ points, isolates, lists = 0, cdn = false, arrival = 0 }) {
    const world = this.#world
    const options = { issuer: ISSUER, audience: AUDIENCE, jwks: KEY_SET, now: () => world.now, cache: this.#tokens.length }
    for (let point = 0; point < points; point++) {
      const source = cdn ? new Cache(world, this.origin) : this.origin
      if (cdn) this.caches.push(source)
      const fetch = fetchFrom(source, world, this.fetches)
      for (let isolate = 0; isolate < isolates; isolate++) {
        const verifier = await createVerifier({ ...options, fetch, ...(lists > 0 && { status: statusList({ required: true }) }) })
        this.#verifiers.push({ verifier, next: world.elapsed + arrival * world.random() + this.#pause() })
      }
    }
  }

  /** Lets time pass until so many seconds after the start. */
  async runUntil(seconds) {
    const world = this.#world
    while (world.elapsed < seconds - STEP / 2) {
      await world.step()
      const before = this.#open
      for (const one of this.#verifiers) {
        for (; one.next <= world.elapsed; one.next += this.#pause()) this.#verify(one.verifier)
      }
      await world.settle()
      this.waited += Math.max(0, this.#open - before)
    }
  }

  #verify(verifier) {
    const token = this.#tokens[Math.floor(this.#world.random() * this.#tokens.length)]
    this.#open++
    verifier.verify(token).then(() => this.verified++, () => this.refused++).finally(() => this.#open--)
  }

  /** Returns the time until the next token of a verifier: seconds. */
  #pause() {
    return -Math.log(1 - this.#world.random()) / this.#rate
  }
}

/**
 * Simulates a fleet. `scenario` gets it and returns its results.
 *
 * @template T
 * @param {Setting} setting
 * @param {(fleet: Fleet) => Promise<T>} scenario
 */
export function simulate({ seed, jitter = true, ...setting }, scenario) {
  const world = new World(seed)
  return world.run(async () => scenario(await Fleet.start(world, setting)), jitter ? undefined : () => 0)
}

/** Returns a signed list of 128 statuses. Its size does not change how often it is fetched. */
function listOf(uri, key) {
  const content = { bits: 1, lst: deflateSync(new Uint8Array(16)).toString('base64url') }
  return makeToken(key, { iss: ISSUER, sub: uri, ...FOREVER, ttl: LIST_TTL, status_list: content }, { typ: 'statuslist+jwt' })
}
