import { waitUntil } from 'cloudflare:workers'
import { createVerifier, type KeyStore, type Verifier, type VerifierOptions } from 'countersign'
import { statusList, type StatusListOptions } from 'countersign/status'
import { refuseSetting } from './setting.js'

/** The settings of the verifier. */
export interface KeySettings {
  ISSUER: string
  AUDIENCE: string | string[]
  /** More options of `createVerifier`. */
  VERIFIER?: Partial<VerifierOptions>
  /** The options of `statusList`. */
  STATUS?: StatusListOptions
  REFRESH_SECONDS?: number
}

/** The verifier. Its key set and status lists are cached in the isolate and in the Cache API, and renewed ahead of time. */
export class Keys {
  readonly #settings: KeySettings
  readonly #interval: number
  #verifier: Promise<Verifier> | undefined
  #dueAt: number

  /** @throws {@link SettingError} - The verifier checks its own settings later. */
  constructor(settings: KeySettings) {
    const { REFRESH_SECONDS: seconds = 45 } = settings
    if (!(Number(seconds) >= 1)) throw refuseSetting('REFRESH_SECONDS', 'a number of seconds, 1 or more')
    this.#settings = settings
    this.#interval = seconds * 1000
    this.#dueAt = Date.now() + this.#interval
  }

  /** Returns the one verifier of the isolate. */
  verifier(): Promise<Verifier> {
    return (this.#verifier ??= createVerifier(optionsFor(this.#settings)))
  }

  /**
   * Renews the key set and the lists in use if that is due. A renewal that `verify` begins would end with its request. The
   * jitter keeps isolates that started together from asking together.
   */
  refreshAhead(): void {
    const now = Date.now()
    if (now < this.#dueAt) return
    this.#dueAt = now + this.#interval * (1 - Math.random() / 5)
    const refreshed = this.verifier().then((verifier) => verifier.refresh())
    // A failed fetch was logged, and the old keys stay.
    waitUntil(refreshed.catch(() => {}))
  }
}

function optionsFor({ ISSUER: issuer, AUDIENCE: audience, VERIFIER, STATUS }: KeySettings): VerifierOptions {
  const jwksOptions = { ...VERIFIER?.jwksOptions, store: secondTier, onError: logFailure, waitUntil }
  return { ...VERIFIER, issuer, audience, jwksOptions, status: statusList({ ...STATUS, store: secondTier }) }
}

/** The cache of the data centre, for its other isolates and for the next one. */
const secondTier: KeyStore = {
  async get(key) {
    const response = await (await openCache()).match(key)
    return response?.text()
  },
  async put(key, value) {
    const cache = await openCache()
    return cache.put(key, new Response(value, { headers: { 'cache-control': MAX_AGE } }))
  },
}

/** Longer than any document is used. The verifier checks their age itself. */
const MAX_AGE = 'max-age=691200'

function openCache(): Promise<Cache> {
  return caches.open('countersign')
}

function logFailure({ code, message }: { code: string; message: string }): void {
  console.log(JSON.stringify({ event: 'fetch_failed', code, reason: message }))
}
