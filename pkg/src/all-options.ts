import { VerifiedTokens } from './cache.js'
import { DocumentStore } from './document-store.js'
import type { RemoteSettings, Servers } from './documents.js'
import { Metadata } from './metadata.js'
import { OptionFault } from './option-fault.js'
import type { Settings } from './options.js'
import type { Tools } from './tools.js'
import type { JwkSet, KeyStore } from './types.js'
import { isFetchable } from './urls.js'

/** The members of an option, each of which was read once. */
export type Members = Readonly<Record<string, unknown>>

/** The options that are not of the policy. */
const OTHERS = ['jwks', 'cache', 'now', 'fetch', 'jwksOptions', 'status']
const REMOTE = ['timeoutMs', 'minTtl', 'maxTtl', 'cooldown', 'staleIfError', 'store', 'allowHttp', 'onError', 'waitUntil']

/** More than a gigabyte of tokens. */
const MAX_CACHE_SIZE = 1_000_000

/**
 * Reads any options, and refuses those that are unknown or wrong.
 *
 * @throws {@link OptionFault}
 */
export function readOptions(options: unknown, servers: Servers | undefined, tools: Tools): Settings {
  const given = members(options, 'options', tools)
  checkNames(given, [...tools.POLICY, ...OTHERS])
  const { issuer, jwks, now, fetch, jwksOptions } = given
  const remote = readRemote(jwksOptions, { fetch: optionalFunction('fetch', fetch) as RemoteSettings['fetch'], servers }, tools)
  const policy = readPolicy(given, tools)
  const keys = jwks === undefined ? new Metadata(readIssuer(issuer, remote), remote, tools) : readKeys(jwks, remote, tools)
  const capacity = readCapacity(given['cache'])
  const cache = capacity === 0 ? undefined : new VerifiedTokens(capacity, policy)
  return {
    ...tools.DEFAULTS,
    ...policy,
    policy: JSON.stringify(policy),
    keys,
    now: tools.readClock(optionalFunction('now', now)),
    remote,
    cache,
    status: optionalFunction('status', given['status']),
  }
}

function readRemote(value: unknown, others: Pick<RemoteSettings, 'fetch' | 'servers'>, tools: Tools): RemoteSettings {
  const given = value === undefined ? {} : members(value, 'jwksOptions', tools)
  try {
    return { ...others, ...readRemoteMembers(given, tools) }
  } catch (fault) {
    throw fault instanceof OptionFault ? Object.assign(fault, { prefix: 'jwksOptions.' }) : fault
  }
}

function readRemoteMembers(given: Members, tools: Tools): RemoteSettings {
  checkNames(given, REMOTE)
  const { timeoutMs, minTtl, maxTtl, staleIfError, cooldown } = tools.DEFAULTS.remote
  const settings = {
    timeoutMs: numberIn(given, 'timeoutMs', 1, 60_000, timeoutMs),
    minTtl: numberIn(given, 'minTtl', 1, 86_400, minTtl),
    maxTtl: numberIn(given, 'maxTtl', 1, 86_400, maxTtl),
    staleIfError: numberIn(given, 'staleIfError', 0, 604_800, staleIfError),
    cooldown: numberIn(given, 'cooldown', 1, 3600, cooldown),
    allowHttp: readAllowHttp(given['allowHttp']),
    onError: optionalFunction('onError', given['onError']),
    waitUntil: optionalFunction('waitUntil', given['waitUntil']),
  }
  if (settings.maxTtl < settings.minTtl) throw new OptionFault('order', 'maxTtl', settings.maxTtl)
  const store = readStore(given['store'])
  return { ...settings, store: store && new DocumentStore(store, settings, tools) }
}

/** Returns the own members of an option that is an object. */
export function members(value: unknown, name: string, { isObject }: Tools): Members {
  if (!isObject(value)) throw new OptionFault('type', name, value)
  return { ...value }
}

/** Refuses names that are not options. */
export function checkNames(given: Members, known: readonly string[]): void {
  for (const name of Object.keys(given)) {
    if (!known.includes(name)) throw new OptionFault('name', name, given[name], known)
  }
}

export function readStore(value: unknown): KeyStore | undefined {
  if (value === undefined) return undefined
  // Not by `members`: a class instance inherits its methods.
  const store = value as Partial<KeyStore> | null
  if (typeof store?.get !== 'function' || typeof store.put !== 'function') throw new OptionFault('type', 'store', value)
  return store as KeyStore
}

function readAllowHttp(value: unknown = false): boolean {
  if (typeof value !== 'boolean') throw new OptionFault('type', 'allowHttp', value)
  return value
}

function readCapacity(value: unknown = 0): number {
  if (!Number.isInteger(value) || !((value as number) >= 0 && (value as number) <= MAX_CACHE_SIZE)) {
    throw new OptionFault('type', 'cache', value)
  }
  return value as number
}

export function numberIn(given: Members, name: string, least: number, most: number, otherwise: number): number {
  const { [name]: value = otherwise } = given
  if (typeof value !== 'number' || !(value >= least && value <= most)) throw new OptionFault('range', name, value, [least, most])
  return value
}

function optionalFunction(name: string, value: unknown): (() => unknown) | undefined {
  if (value !== undefined && typeof value !== 'function') throw new OptionFault('type', name, value)
  return value as (() => unknown) | undefined
}

/**
 * Refuses values that JSON would drop or change without an error: it drops the members that an object inherits, and writes a
 * `Map` as an empty object. The WebAssembly module checks the others.
 */
function readPolicy(given: Members, { isJsonScalar, isPlainObject, POLICY }: Tools): Members {
  const policy: Record<string, unknown> = {}
  for (const name of POLICY) {
    const value = given[name]
    if (value === undefined) continue
    const items = name === 'claims' && isPlainObject(value) ? Object.values(value) : [value]
    for (const item of items.flat()) {
      if (!isJsonScalar(item)) throw new OptionFault('type', name, item)
    }
    policy[name] = value
  }
  return policy
}

/** Returns the issuer whose metadata can be asked for. */
function readIssuer(issuer: unknown, { allowHttp }: RemoteSettings): string {
  const [only, ...others] = [issuer].flat() as unknown[]
  if (typeof only !== 'string') throw new OptionFault('type', 'issuer', only)
  // A URL without the name of a claim, query and fragment.
  if (others.length === 0 && !/[{?#]/.test(only) && isFetchable(only, allowHttp)) return only
  throw new OptionFault('discovery', 'jwks', undefined, [only, ...others])
}

function readKeys(jwks: unknown, { allowHttp }: RemoteSettings, { isObject }: Tools): JwkSet | URL {
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

function isUrl(jwks: unknown): jwks is string | URL {
  // `instanceof` would miss a URL of another realm, such as a test runner's.
  return typeof jwks === 'string' || Object.prototype.toString.call(jwks) === '[object URL]'
}
