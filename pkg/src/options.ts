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
 * An option that is refused. `words.ts` has the message: it is a part of the package that programs without faults never
 * load.
 */
export class OptionFault {
  /** The part of the name before the option: `jwksOptions.`, or the index of a policy. */
  prefix = ''
  readonly kind: 'type' | 'name' | 'range' | 'keys' | 'discovery' | 'order' | 'unsupported'
  readonly name: string
  readonly value: unknown
  /** The known names, the bounds of a range, the issuers, or the cause. */
  readonly other: unknown

  constructor(kind: OptionFault['kind'], name: string, value: unknown, other?: unknown) {
    this.kind = kind
    this.name = name
    this.value = value
    this.other = other
  }
}

/**
 * Reads the caller's options, each once.
 *
 * @throws {@link OptionFault}
 */
export function readOptions(options: unknown): Settings {
  const given = members(options, 'options')
  checkNames(given, [...POLICY, ...OTHERS])
  if (given['status'] !== undefined) throw new OptionFault('unsupported', 'status', given['status'])
  const remote = readRemote(given['jwksOptions'], optionalFunction(given, 'fetch') as RemoteSettings['fetch'])
  return {
    policy: readPolicy(given),
    keys: readKeys(given['jwks'], given['issuer'], remote),
    maxTokenBytes: (given['maxTokenBytes'] as number | undefined) ?? DEFAULT_MAX_TOKEN_BYTES,
    scopeClaim: (given['scopeClaim'] as string | undefined) ?? 'scope',
    now: readClock(optionalFunction(given, 'now')),
    remote,
    cache: readCacheSize(given['cache']),
    limits: {
      clockTolerance: (given['clockTolerance'] as number | undefined) ?? 0,
      maxTokenAge: (given['maxTokenAge'] as number | undefined) ?? Infinity,
    },
  }
}

/** Returns the clock of the option `now`. It fails closed: each call refuses a value that is no time in seconds. */
export function readClock(clock: (() => unknown) | undefined): () => number {
  if (clock === undefined) return () => Date.now() / 1000
  return () => {
    const seconds = clock()
    if (typeof seconds !== 'number' || !(seconds >= 0 && seconds < Infinity)) {
      const found = typeof seconds === 'number' ? seconds : seconds === undefined ? 'undefined' : `a ${typeof seconds}`
      throw refuseOption('now', `returned ${found}; expected seconds since the UNIX epoch`)
    }
    if (seconds > LATEST_SECOND) throw refuseOption('now', 'returned milliseconds; expected seconds: divide by 1000')
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

/** Returns the own members of an option that is an object. */
function members(value: unknown, name: string): Record<string, unknown> {
  if (!isObject(value)) throw new OptionFault('type', name, value)
  return { ...value }
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Refuses names that are not options. */
function checkNames(given: Record<string, unknown>, known: readonly string[]): void {
  for (const name of Object.keys(given)) {
    if (!known.includes(name)) throw new OptionFault('name', name, given[name], known)
  }
}

/** The options of the policy. */
const POLICY = [
  'issuer', 'audience', 'type', 'claims', 'clockTolerance', 'maxTokenAge', 'requiredClaims', 'scope', 'scopeClaim', 'maxTokenBytes',
]
const OTHERS = ['jwks', 'cache', 'now', 'fetch', 'jwksOptions', 'status']
const REMOTE = ['timeoutMs', 'minTtl', 'maxTtl', 'cooldown', 'staleIfError', 'store', 'allowHttp', 'onError']

/** The default of the policy in the WebAssembly module. */
const DEFAULT_MAX_TOKEN_BYTES = 16384

/** More than a gigabyte of tokens. */
const MAX_CACHE_SIZE = 1_000_000

/** The year 5138 in seconds, but March 1973 in milliseconds: a later clock counts milliseconds. */
export const LATEST_SECOND = 1e11

/** Refuses values that JSON would drop or change without an error. The WebAssembly module checks the others. */
function readPolicy(given: Record<string, unknown>): string {
  const policy: Record<string, unknown> = {}
  for (const name of POLICY) {
    const value = given[name]
    if (value === undefined) continue
    const items = name === 'claims' && isObject(value) && isPlain(value) ? Object.values(value) : [value]
    for (const item of items.flat()) {
      if (!isJsonScalar(item)) throw new OptionFault('type', name, item)
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
  if (jwks === undefined) {
    const [only, ...others] = [issuer].flat() as unknown[]
    if (typeof only !== 'string') throw new OptionFault('type', 'issuer', only)
    if (others.length === 0 && isDiscoverable(only, allowHttp)) return only
    throw new OptionFault('discovery', 'jwks', jwks, [only, ...others])
  }
  if (isUrl(jwks)) {
    const url = String(jwks)
    if (!isFetchable(url, allowHttp)) throw new OptionFault('keys', 'jwks', url)
    return new URL(url)
  }
  const set = isObject(jwks) ? { ...jwks } : {}
  if (!Array.isArray(set['keys'])) throw new OptionFault('keys', 'jwks', isObject(jwks) ? set : jwks)
  try {
    return JSON.parse(JSON.stringify(set)) as JwkSet
  } catch (error) {
    throw new OptionFault('keys', 'jwks', set, error)
  }
}

/** Returns true if the issuer's metadata can be asked for: it is a URL without the name of a claim, query and fragment. */
function isDiscoverable(issuer: string, allowHttp: boolean): boolean {
  return !/[{?#]/.test(issuer) && isFetchable(issuer, allowHttp)
}

function isUrl(jwks: unknown): jwks is string | URL {
  // `instanceof` would miss a URL of another realm, such as a test runner's.
  return typeof jwks === 'string' || Object.prototype.toString.call(jwks) === '[object URL]'
}

/** Returns true if a text is a URL that may be fetched. */
export function isFetchable(text: string, allowHttp: boolean, allowLoopback = true): boolean {
  try {
    const { protocol, hostname, username, password } = new URL(text)
    const isAllowed = protocol === 'https:' || (protocol === 'http:' && (allowHttp || (allowLoopback && isLoopback(hostname))))
    // `fetch` takes no user name.
    return isAllowed && username + password === ''
  } catch {
    return false
  }
}

/** RFC 6761 §6.3 and RFC 1122 §3.2.1.3; `URL` has normalized the address. */
function isLoopback(host: string): boolean {
  return /^(?:(?:.+\.)?localhost\.?|\[::1\]|127\.\d+\.\d+\.\d+)$/.test(host)
}

function readRemote(value: unknown, fetch: RemoteSettings['fetch']): RemoteSettings {
  const given = value === undefined ? {} : members(value, 'jwksOptions')
  try {
    return readRemoteMembers(given, fetch)
  } catch (fault) {
    throw fault instanceof OptionFault ? Object.assign(fault, { prefix: 'jwksOptions.' }) : fault
  }
}

function readRemoteMembers(given: Record<string, unknown>, fetch: RemoteSettings['fetch']): RemoteSettings {
  checkNames(given, REMOTE)
  const minTtl = numberIn(given, 'minTtl', 1, 86_400, 30)
  const maxTtl = numberIn(given, 'maxTtl', 1, 86_400, 86_400)
  if (maxTtl < minTtl) throw new OptionFault('order', 'maxTtl', maxTtl)
  const { allowHttp = false } = given
  if (typeof allowHttp !== 'boolean') throw new OptionFault('type', 'allowHttp', allowHttp)
  return {
    fetch,
    timeoutMs: numberIn(given, 'timeoutMs', 1, 60_000, 5000),
    minTtl,
    maxTtl,
    staleIfError: numberIn(given, 'staleIfError', 0, 604_800, 86_400),
    cooldown: numberIn(given, 'cooldown', 1, 3600, 10),
    store: readStore(given['store']),
    allowHttp,
    onError: optionalFunction(given, 'onError'),
  }
}

function readStore(value: unknown): KeyStore | undefined {
  if (value === undefined) return undefined
  // Not by `members`: a class instance inherits its methods.
  const store = value as Partial<KeyStore> | null
  if (typeof store?.get !== 'function' || typeof store.put !== 'function') throw new OptionFault('type', 'store', value)
  return store as KeyStore
}

function readCacheSize(value: unknown): number {
  if (value === undefined) return 0
  if (!Number.isInteger(value) || !((value as number) >= 0 && (value as number) <= MAX_CACHE_SIZE)) {
    throw new OptionFault('type', 'cache', value)
  }
  return value as number
}

function numberIn(given: Record<string, unknown>, name: string, least: number, most: number, otherwise: number): number {
  const value = given[name]
  if (value === undefined) return otherwise
  if (typeof value !== 'number' || !(value >= least && value <= most)) throw new OptionFault('range', name, value, [least, most])
  return value
}

function optionalFunction(given: Record<string, unknown>, name: string): (() => unknown) | undefined {
  const value = given[name]
  if (value !== undefined && typeof value !== 'function') throw new OptionFault('type', name, value)
  return value as (() => unknown) | undefined
}
