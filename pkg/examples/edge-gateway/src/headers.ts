import { PREFIX, type Route } from './routes.js'

/** The claims of a token. */
export type Claims = Readonly<Record<string, unknown>>

/** Headers between two neighbours (RFC 9110 §7.6.1), besides those that `Connection` names. */
const HOP_BY_HOP = [
  'connection', 'keep-alive', 'proxy-authorization', 'proxy-connection', 'te', 'trailer', 'transfer-encoding', 'upgrade',
]

/** Headers by which some servers take another path or method than those that the gateway checked. */
const OVERRIDES = ['x-original-url', 'x-rewrite-url', 'x-http-method', 'x-http-method-override', 'x-method-override']

/** Headers that only the gateway may set. */
const OWN = ['forwarded', 'signature', 'signature-input']

const DROPPED = new Set([...HOP_BY_HOP, ...OVERRIDES, ...OWN])

/** The prefix of more of them: some servers write a port or a path from such a header into their links. */
const FORWARDED = 'x-forwarded-'

/** Cloudflare adds the client's address to it. */
const FORWARDED_FOR = 'x-forwarded-for'

/** Drops the headers that the origin must not get from the client. `headers` begin as a copy of the request's. */
export function dropHeaders(headers: Headers, request: Request, { isPublic }: Route): void {
  const isWebSocket = headers.get('upgrade')?.toLowerCase() === 'websocket'
  const connection = namedByConnection(headers)
  for (const name of request.headers.keys()) {
    // CGI, WSGI and PHP do not tell "_", or even ".", from "-".
    const readAs = name.replace(/[^a-z0-9-]/g, '-')
    const isOwn = readAs.startsWith(PREFIX) || (readAs.startsWith(FORWARDED) && name !== FORWARDED_FOR)
    if (isOwn || DROPPED.has(readAs) || connection.includes(name)) headers.delete(name)
  }
  // The origin needs the claims, and could lose the token.
  if (!isPublic) headers.delete('authorization')
  if (isWebSocket) headers.set('upgrade', 'websocket')
}

/** Sets the headers that only the gateway sets: of the URL that the client asked for, and with the claims of the route. */
export function setHeaders(headers: Headers, { host, protocol }: URL, { claims: wanted }: Route, claims: Claims): void {
  headers.set('x-forwarded-host', host)
  headers.set('x-forwarded-proto', protocol.slice(0, -1))
  for (const [claim, name] of wanted) {
    if (Object.hasOwn(claims, claim)) headers.set(name, encode(claims[claim]))
  }
}

/** Percent-encoded UTF-8 has only characters that a header may have. A value that is no string is encoded as JSON. */
function encode(value: unknown): string {
  return encodeURIComponent(typeof value === 'string' ? value : JSON.stringify(value))
}

function namedByConnection(headers: Headers): string[] {
  return headers.get('connection')?.toLowerCase().split(',').map((name) => name.trim()) ?? []
}
