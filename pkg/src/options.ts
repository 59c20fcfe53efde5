import type { TimeLimits } from './cache.js'
import { refuseOption } from './errors.js'
import type { JwkSet, JwksOptions, KeyStore } from './types.js'

/** The options after the checks of JavaScript. The WebAssembly module checks the values of the policy. */
export interface Settings {
  /** The policy options as JSON text. */
  policy: string
  /** The keys, their URL, or the issuer, whose metadata names the URL. */
  keys: JwkSet | URL | string
  maxTokenBytes: number
  scopeClaim: string
  now: () => number
  remote: RemoteSettings
  /** The number of verified tokens to remember; 0 turns the cache off. */
  cache: number
  limits: TimeLimits
}

/** {@link JwksOptions} with their defaults, and the option `fetch`. */
export interface RemoteSettings {
  fetch: typeof globalThis.fetch | undefined
  timeoutMs: number
  minTtl: number
  maxTtl: number
  staleIfError: number
  cooldown: number
  store: KeyStore | undefined
  allowHttp: boolean
  onError: JwksOptions['onError']
}

/**
 * Reads the caller's options, each once.
 *
 * @throws {@link VerifyError} - `options_invalid`, naming the option.
 */
export function readOptions(options: unknown): Settings {
  const given = members(options, 'options', 'an object such as { issuer, audience, jwks }')
  checkNames(given, [...POLICY, ...OTHERS], '')
  refuseUnsupported(given)
  const remote = readRemote(given['jwksOptions'], readFetch(given['fetch']))
  return {
    policy: readPolicy(given),
    keys: readKeys(given['jwks'], given['issuer'], remote),
    maxTokenBytes: (given['maxTokenBytes'] as number | undefined) ?? DEFAULT_MAX_TOKEN_BYTES,
    scopeClaim: (given['scopeClaim'] as string | undefined) ?? 'scope',
    now: readClock(given['now']),
    remote,
    cache: readCacheSize(given['cache']),
    limits: {
      clockTolerance: (given['clockTolerance'] as number | undefined) ?? 0,
      maxTokenAge: (given['maxTokenAge'] as number | undefined) ?? Infinity,
    },
  }
}

/** Returns the clock of the option `now`. It fails closed: each call refuses a value that is no time in seconds. */
export function readClock(now: unknown): () => number {
  if (now === undefined) return () => Date.now() / 1000
  const clock = requireFunction(now, 'now')
  return () => {
    const seconds = clock()
    if (typeof seconds !== 'number' || !(seconds >= 0 && seconds < Infinity)) {
      throw refuseOption('now', `returned ${kindOf(seconds)}; expected seconds since the UNIX epoch`)
    }
    if (seconds > LATEST_SECOND) throw refuseOption('now', 'returned milliseconds; expected seconds: divide by 1000')
    return seconds
  }
}

/** Returns the own members of an option that is an object. */
export function members(value: unknown, name: string, expected: string): Record<string, unknown> {
  if (!isObject(value)) throw refuseOption(name, `is ${kindOf(value)}; expected ${expected}`)
  return { ...value }
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Refuses names that are not options. */
export function checkNames(given: Record<string, unknown>, known: readonly string[], prefix: string): void {
  for (const name of Object.keys(given)) {
    if (!known.includes(name)) throw refuseOption(prefix + name, problemOfName(name, known, prefix))
  }
}

/** Says that a name is unknown, with the known name of the most similar beginning: people write `aud`, `jwksUri`, `audiance`. */
export function problemOfName(name: string, known: readonly string[], prefix: string): string {
  const near = known.reduce((best, other) => (likeness(name, other) > likeness(name, best) ? other : best))
  const advice = likeness(name, near) < 3 ? `the options are ${known.join(', ')}` : `did you mean ${prefix}${near}?`
  return `is unknown; ${advice}`
}

/** Says why a value for the option `jwks` is neither a URL nor a JWK Set; `undefined` if it is one of them. */
export function problemOfKeys(jwks: unknown, allowHttp = false): string | undefined {
  if (isUrl(jwks)) return problemOfUrl(String(jwks), allowHttp)
  if (!isObject(jwks)) return `is ${kindOf(jwks)}; expected a URL or a JWK Set object`
  if (Array.isArray(jwks['keys'])) return undefined
  if ((jwks['d'] ?? jwks['k'] ?? null) !== null) return IS_PRIVATE
  return `is ${'kty' in jwks ? 'a single JWK' : 'no JWK Set'}; expected { keys: [...] }`
}

/** The options of the policy. */
const POLICY = [
  'issuer', 'audience', 'type', 'claims', 'clockTolerance', 'maxTokenAge', 'requiredClaims', 'scope', 'scopeClaim', 'maxTokenBytes',
]
const OTHERS = ['jwks', 'cache', 'now', 'fetch', 'jwksOptions', 'status']

export const WHERE_SETS_ARE = "a JWK Set, whose URL is the jwks_uri in the issuer's metadata"

/** The same text as in the WebAssembly module. */
export const IS_PRIVATE = 'is a private or secret key: remove it, and rotate it, since it may have leaked'

/** The default of the policy in the WebAssembly module. */
const DEFAULT_MAX_TOKEN_BYTES = 16384

/** More than a gigabyte of tokens. */
const MAX_CACHE_SIZE = 1_000_000

/** The year 5138 in seconds, but March 1973 in milliseconds: a later clock counts milliseconds. */
export const LATEST_SECOND = 1e11

function refuseUnsupported(given: Record<string, unknown>): void {
  if (given['status'] !== undefined) {
    throw refuseOption('status', 'is not supported by this version; leave it out')
  }
}

/** Refuses values that JSON would drop or change without an error. The WebAssembly module checks the others. */
function readPolicy(given: Record<string, unknown>): string {
  const policy: Record<string, unknown> = {}
  for (const name of POLICY) {
    const value = given[name]
    if (value === undefined) continue
    const items = name === 'claims' && isObject(value) && isPlain(value) ? Object.values(value) : [value]
    for (const item of items.flat()) {
      if (!isJsonScalar(item)) throw refuseOption(name, `is or holds ${kindOf(item)}; expected strings, numbers or booleans`)
    }
    policy[name] = value
  }
  return JSON.stringify(policy)
}

/** JSON drops the members that an object inherits, such as the getters of a class, and writes a `Map` as an empty object. */
function isPlain(value: object): boolean {
  const prototype = Object.getPrototypeOf(value)
  // Another realm has another `Object.prototype`.
  return prototype === null || Object.getPrototypeOf(prototype) === null
}

function isJsonScalar(value: unknown): boolean {
  return value === null || ['string', 'boolean'].includes(typeof value) || Number.isFinite(value)
}

function readKeys(jwks: unknown, issuer: unknown, { allowHttp }: RemoteSettings): JwkSet | URL | string {
  if (jwks === undefined) return requireDiscoverable(issuer, allowHttp)
  const given = isUrl(jwks) ? String(jwks) : isObject(jwks) ? { ...jwks } : jwks
  const problem = problemOfKeys(given, allowHttp)
  if (problem !== undefined) throw refuseOption('jwks', problem)
  if (isUrl(given)) return new URL(given)
  try {
    return JSON.parse(JSON.stringify(given)) as JwkSet
  } catch (error) {
    throw refuseOption('jwks', 'cannot be written as JSON; expected a plain JWK Set object', error)
  }
}

/** Returns the issuer if its metadata can be asked for. */
function requireDiscoverable(issuer: unknown, allowHttp: boolean): string {
  const [name, ...others] = (Array.isArray(issuer) ? issuer : [issuer]) as unknown[]
  if (typeof name !== 'string') throw refuseOption('issuer', `is or holds ${kindOf(name)}; expected a string or an array of strings`)
  const problem =
    others.length > 0 ? 'is one of several'
    : name.includes('{') ? 'holds the name of a claim'
    : /[?#]/.test(name) ? 'has a query or fragment'
    : problemOfUrl(name, allowHttp)
  if (problem === undefined) return name
  throw refuseOption('jwks', `is left out, but there is no metadata to take it from: the issuer ${problem}; give jwks`)
}

function isUrl(jwks: unknown): jwks is string | URL {
  // `instanceof` would miss a URL of another realm, such as a test runner's.
  return typeof jwks === 'string' || Object.prototype.toString.call(jwks) === '[object URL]'
}

/** Says why a text is not a URL to fetch. */
export function problemOfUrl(text: string, allowHttp: boolean, allowLoopback = true): string | undefined {
  const isPem = /^\s*-----BEGIN/.test(text)
  if (isPem || /^\s*[{[]/.test(text)) {
    if (/PRIVATE KEY|"[dk]"\s*:(?!\s*null)/.test(text)) return IS_PRIVATE
    return isPem
      ? `is PEM text; expected ${WHERE_SETS_ARE}, or { keys: [{ ...createPublicKey(pem).export({ format: 'jwk' }), kid }] }`
      : 'is JSON text; expected a URL or the object: JSON.parse(text)'
  }
  let url: URL
  try {
    url = new URL(text)
  } catch {
    return 'is no absolute URL; expected one such as https://host/.well-known/jwks.json'
  }
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && (allowHttp || (allowLoopback && isLoopback(url.hostname))))) {
    return `is a URL with ${url.protocol}; expected https: (http: only to a loopback host, or with jwksOptions.allowHttp)`
  }
  if (url.username !== '' || url.password !== '') {
    return 'has a user name or password; expected a URL without: fetch takes none'
  }
  return undefined
}

/** RFC 6761 §6.3 and RFC 1122 §3.2.1.3; `URL` has normalized the address. */
function isLoopback(host: string): boolean {
  return /^(?:(?:.+\.)?localhost\.?|\[::1\]|127\.\d+\.\d+\.\d+)$/.test(host)
}

function readFetch(value: unknown): typeof globalThis.fetch | undefined {
  return value === undefined ? undefined : (requireFunction(value, 'fetch') as typeof globalThis.fetch)
}

function readRemote(value: unknown, fetch: RemoteSettings['fetch']): RemoteSettings {
  const given = value === undefined ? {} : members(value, 'jwksOptions', 'an object such as { timeoutMs: 5000 }')
  checkNames(given, ['timeoutMs', 'minTtl', 'maxTtl', 'cooldown', 'staleIfError', 'store', 'allowHttp', 'onError'], 'jwksOptions.')
  const minTtl = numberIn(given, 'minTtl', 1, 86_400, 30)
  const maxTtl = numberIn(given, 'maxTtl', 1, 86_400, 86_400)
  if (maxTtl < minTtl) throw refuseOption('jwksOptions.maxTtl', 'is less than jwksOptions.minTtl')
  const { allowHttp = false, onError } = given
  if (typeof allowHttp !== 'boolean') throw refuseOption('jwksOptions.allowHttp', `is ${kindOf(allowHttp)}; expected true or false`)
  return {
    fetch,
    timeoutMs: numberIn(given, 'timeoutMs', 1, 60_000, 5000),
    minTtl,
    maxTtl,
    staleIfError: numberIn(given, 'staleIfError', 0, 604_800, 86_400),
    cooldown: numberIn(given, 'cooldown', 1, 3600, 10),
    store: readStore(given['store']),
    allowHttp,
    onError: onError === undefined ? undefined : requireFunction(onError, 'jwksOptions.onError'),
  }
}

function readStore(value: unknown): KeyStore | undefined {
  if (value === undefined) return undefined
  // Not by `members`: a class instance inherits its methods.
  const store = value as Partial<KeyStore> | null
  if (typeof store?.get !== 'function' || typeof store.put !== 'function') {
    throw refuseOption('jwksOptions.store', `is ${kindOf(value)}; expected an object with functions get and put`)
  }
  return store as KeyStore
}

function readCacheSize(value: unknown): number {
  if (value === undefined) return 0
  if (!Number.isInteger(value) || !((value as number) >= 0 && (value as number) <= MAX_CACHE_SIZE)) {
    throw refuseOption('cache', `is ${kindOf(value)}; expected a whole number of tokens from 0 to ${MAX_CACHE_SIZE}`)
  }
  return value as number
}

function numberIn(given: Record<string, unknown>, name: string, least: number, most: number, otherwise: number): number {
  const value = given[name]
  if (value === undefined) return otherwise
  if (typeof value !== 'number' || !(value >= least && value <= most)) {
    throw refuseOption(`jwksOptions.${name}`, `is ${kindOf(value)}; expected a number from ${least} to ${most}`)
  }
  return value
}

function requireFunction(value: unknown, name: string): () => unknown {
  if (typeof value !== 'function') throw refuseOption(name, `is ${kindOf(value)}; expected a function`)
  return value as () => unknown
}

/** Names the type of a value. Only numbers are shown: any other value given by mistake may be a secret. */
function kindOf(value: unknown): string {
  if (value === undefined || value === null || typeof value === 'number') return String(value)
  if (Array.isArray(value)) return 'an array'
  if (typeof value === 'object') return value instanceof Promise ? 'a promise' : 'an object'
  return `a ${typeof value}`
}

/** Counts the letters that two names have in common at their beginning, in any case. */
function likeness(a: string, b: string): number {
  let count = 0
  while (count < a.length && a[count]?.toLowerCase() === b[count]?.toLowerCase()) count++
  return count
}
