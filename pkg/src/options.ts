import type { VerifiedTokens } from './cache.js'
import type { KeySetLocation, RemoteSettings, Servers } from './documents.js'
import { refuseOption } from './errors.js'
import type { JwkSet } from './types.js'

/** The options after the checks of JavaScript. The WebAssembly module checks the values of the policy. */
export interface Settings {
  /** The policy options as JSON text. */
  policy: string
  /** The keys, their URL, or the metadata that names the URL. */
  keys: JwkSet | URL | KeySetLocation
  maxTokenBytes: number
  scopeClaim: string
  now: () => number
  remote: RemoteSettings
  cache?: VerifiedTokens | undefined
  /** A `WithStatus` of `prepare.ts`. */
  status?: unknown
}

/**
 * Reads options that need no check in JavaScript: `jwks` is an https URL, and the others are of the policy and mean the same
 * in JSON. Returns `undefined` for any other options. `all-options.ts` reads those: most pages never load it.
 */
export function readPlainOptions(given: unknown, servers: Servers | undefined): Settings | undefined {
  const { jwks, ...policy } = Object(given) as Readonly<Record<string, unknown>>
  const isPlain = ([name, value]: [string, unknown]) => POLICY.includes(name) && [value].flat().every(isJsonScalar)
  if (!isHttps(jwks) || !Object.entries(policy).every(isPlain)) return undefined
  const { remote, ...others } = DEFAULTS
  return { ...others, ...policy, policy: JSON.stringify(policy), keys: new URL(jwks), remote: { ...remote, servers } }
}

/** `fetch` takes no user name. */
function isHttps(jwks: unknown): jwks is string {
  try {
    const { protocol, username, password } = new URL(jwks as string)
    return typeof jwks === 'string' && protocol === 'https:' && username + password === ''
  } catch {
    return false
  }
}

export function isJsonScalar(value: unknown): boolean {
  return value === null || ['string', 'boolean'].includes(typeof value) || Number.isFinite(value)
}

/** The options of the policy. */
export const POLICY = [
  'issuer', 'audience', 'type', 'claims', 'clockTolerance', 'maxTokenAge', 'requiredClaims', 'scope', 'scopeClaim', 'maxTokenBytes',
]

/** The settings without options. The first two are also the module's. */
export const DEFAULTS: Pick<Settings, 'maxTokenBytes' | 'scopeClaim' | 'now' | 'remote'> = {
  maxTokenBytes: 16384,
  scopeClaim: 'scope',
  now: () => Date.now() / 1000,
  remote: {
    timeoutMs: 5000,
    minTtl: 30,
    maxTtl: 86_400,
    staleIfError: 86_400,
    cooldown: 10,
    allowHttp: false,
  },
}

/** Returns the clock of the option `now`. It fails closed: each call refuses a value that is no time in seconds. */
export function readClock(clock: (() => unknown) | undefined): () => number {
  if (clock === undefined) return DEFAULTS.now
  return () => {
    const seconds = clock()
    if (typeof seconds !== 'number' || !(seconds >= 0 && seconds <= LATEST_SECOND)) {
      const found = seconds === undefined || typeof seconds === 'number' ? seconds : `a ${typeof seconds}`
      throw refuseOption('now', `returned ${found}; expected seconds since the UNIX epoch, such as Date.now() / 1000`)
    }
    return seconds
  }
}

/** Returns the only option of a function. */
export function readOnly(options: unknown, known: string): unknown {
  if (!isObject(options)) throw refuseOption('options', `is ${options === null ? 'null' : `a ${typeof options}`}; expected an object such as { ${known} }`)
  const unknown = Object.keys(options).find((name) => name !== known)
  if (unknown !== undefined) throw refuseOption(unknown, `is unknown; did you mean ${known}?`)
  return options[known]
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Returns false for an object that can inherit members, such as the getters of a class. */
export function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (!isObject(value)) return false
  const prototype = Object.getPrototypeOf(value)
  // Another realm has another `Object.prototype`.
  return prototype === null || Object.getPrototypeOf(prototype) === null
}

/** The year 5138 in seconds, but March 1973 in milliseconds: a later clock counts milliseconds. */
export const LATEST_SECOND = 1e11
