import { readLeniently, type Path } from './path.js'
import { Refusal } from './refusal.js'
import { readObject, readTexts, refuseSetting } from './setting.js'

/** Only the gateway may set headers with this prefix. */
export const PREFIX = 'x-verified-'

/** A row of the table. */
export interface Route {
  readonly path: string
  /** Undefined: all methods. */
  readonly methods: readonly string[] | undefined
  /** True if requests need no token. */
  readonly isPublic: boolean
  readonly scope: string | undefined
  /** The headers that claims are passed on in, by claim, in the order of the headers' names. */
  readonly claims: ReadonlyMap<string, string>
}

/** The rows of one path. */
interface Group {
  /** The path without the wildcard and the `/` before it, in both readings. */
  readonly prefix: Path
  readonly hasWildcard: boolean
  readonly routes: Route[]
}

/** The most specific path first. */
export type RouteTable = readonly Group[]

/**
 * Returns the row of the longest path that covers the request's, for its method.
 *
 * @throws {@link Refusal} - Also if a server that reads paths leniently would find another row's path.
 */
export function findRoute(table: RouteTable, path: Path, method: string): Route {
  const group = table.find((group) => covers(group, 'exact', path))
  if (group !== table.find((group) => covers(group, 'lenient', path))) {
    throw new Refusal(400, 'path_ambiguous', 'servers may read this path in two ways; expected it as the site writes it')
  }
  if (group === undefined) throw new Refusal(404, 'route_unknown', 'there is nothing at this path')
  const route = group.routes.find(({ methods }) => methods?.includes(method) ?? true)
  if (route !== undefined) return route
  const allow = group.routes.flatMap(({ methods }) => methods ?? []).join(', ')
  throw new Refusal(405, 'method_not_allowed', `expected one of the methods ${allow}`, { headers: { allow } })
}

/** @throws {@link SettingError} */
export function readRoutes(value: unknown): RouteTable {
  if (!Array.isArray(value) || value.length === 0) throw refuseSetting('ROUTES', 'an array of routes')
  const groups = new Map<string, Group>()
  for (const [index, row] of value.entries()) {
    const route = readRoute(row, `ROUTES[${index}]`)
    const { prefix, hasWildcard } = readPattern(route.path, `ROUTES[${index}].path`)
    const key = `${prefix.lenient} ${hasWildcard}`
    const group = groups.get(key) ?? { prefix, hasWildcard, routes: [] }
    if (group.prefix.exact !== prefix.exact) {
      throw refuseSetting(`ROUTES[${index}].path`, `the same case as in ${group.prefix.exact}, or another path`)
    }
    if (group.routes.some((other) => overlap(other, route))) {
      throw refuseSetting(`ROUTES[${index}].methods`, 'methods that no row before has for this path')
    }
    group.routes.push(route)
    groups.set(key, group)
  }
  return [...groups.values()].sort((a, b) => rank(b) - rank(a))
}

function covers({ prefix, hasWildcard }: Group, reading: keyof Path, { [reading]: path }: Path): boolean {
  return path === prefix[reading] || (hasWildcard && path.startsWith(`${prefix[reading]}/`))
}

/** Longer is more specific. At the same length the path without a wildcard is. */
function rank({ prefix, hasWildcard }: Group): number {
  return 2 * prefix.lenient.length + (hasWildcard ? 0 : 1)
}

function overlap({ methods: some }: Route, { methods: others }: Route): boolean {
  return some?.some((method) => others?.includes(method) ?? true) ?? true
}

function readRoute(row: unknown, name: string): Route {
  const members = readObject(row, name, ['path', 'methods', 'scope', 'public', 'claims'])
  const { path, scope, public: isPublic = false } = members
  if (typeof path !== 'string' || !PATH.test(path)) {
    throw refuseSetting(`${name}.path`, '/, /notes or /notes/*, of letters, digits, "-", ".", "_", "~" and "/"')
  }
  if (scope !== undefined && (typeof scope !== 'string' || !SCOPE.test(scope))) {
    throw refuseSetting(`${name}.scope`, 'scopes such as "read write"')
  }
  const claims = readClaims(members['claims'] ?? {}, `${name}.claims`)
  if (typeof isPublic !== 'boolean' || (isPublic && (scope !== undefined || claims.size > 0))) {
    throw refuseSetting(`${name}.public`, 'true or false, and no scope and no claims if it is true')
  }
  return { path, methods: readMethods(members['methods'], `${name}.methods`), isPublic, scope, claims }
}

const PATH = /^\/(?:\*|[\w.~-]+(?:\/[\w.~-]+)*(?:\/\*)?)?$/
/** RFC 6749 §3.3. */
const SCOPE = /^[!#-[\]-~]+(?: [!#-[\]-~]+)*$/

/** GET includes HEAD. */
function readMethods(value: unknown, name: string): Route['methods'] {
  if (value === undefined) return undefined
  const methods = readTexts(value, name, /^[A-Z]+$/, 'methods such as GET')
  return [...new Set(methods.flatMap((method) => (method === 'GET' ? ['GET', 'HEAD'] : method)))]
}

function readClaims(value: unknown, name: string): Route['claims'] {
  const claims = Object.entries(readObject(value, name)) as [string, string][]
  const headers = claims.map(([, header]) => header)
  if (!headers.every((header) => HEADER.test(header)) || new Set(headers).size < headers.length) {
    throw refuseSetting(name, `{ claim: header }, each with a header of its own, in lower case, that begins with ${PREFIX}`)
  }
  return new Map(claims.sort(([, a], [, b]) => (a < b ? -1 : 1)))
}

const HEADER = new RegExp(`^${PREFIX}[a-z0-9-]+$`)

function readPattern(path: string, name: string): Pick<Group, 'prefix' | 'hasWildcard'> {
  const hasWildcard = path.endsWith('/*')
  const exact = hasWildcard ? path.slice(0, -2) : path
  const lenient = exact === '' ? '' : readLeniently(exact)
  if (lenient === undefined) throw refuseSetting(name, 'no segment of dots alone')
  return { prefix: { exact, lenient }, hasWildcard }
}
