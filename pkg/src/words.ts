import type { DocumentKind, Received } from './documents.js'
import type { OptionFault } from './option-fault.js'
import { inBrowser } from './runtime.js'

// The words of refusals that few programs ever see. Their file is loaded when it is needed. It imports no file of a page's
// script at run time: bundlers would split that file off from the script of every page.

/** Says why an option is refused. */
export function problemOfOption({ prefix, kind, name, value, other }: OptionFault): string {
  switch (kind) {
    case 'name': return problemOfName(name, other as string[], prefix.replace(/^\[\d+\]\./, ''))
    case 'keys': return problemOfKeys(value) ?? 'cannot be written as JSON; expected a plain JWK Set object'
    case 'discovery': return problemOfDiscovery(other as string[])
    case 'order': return 'is less than jwksOptions.minTtl'
    case 'range': return `is ${kindOf(value)}; expected a number from ${(other as number[]).join(' to ')}`
    case 'type': return `${name in POLICY ? 'is or holds' : 'is'} ${kindOf(value)}; expected ${other ?? POLICY[name] ?? EXPECTED[name]}`
  }
}

/** The options of the policy, with their types. */
const POLICY: Readonly<Record<string, string>> = {
  issuer: 'a string or an array of strings',
  audience: 'a string or an array of strings, or null',
  type: 'a string or an array of strings, or null',
  claims: 'a string, a number, a boolean, or an array of them, for each claim: { client_id: "web" }',
  clockTolerance: 'a number of seconds',
  maxTokenAge: 'a number of seconds',
  requiredClaims: 'an array of strings',
  scope: 'a string or an array of strings',
  scopeClaim: 'a string',
  maxTokenBytes: 'a number of bytes',
}

/** The types of the other options. */
const EXPECTED: Readonly<Record<string, string>> = {
  options: 'an object such as { issuer, audience, jwks }',
  jwksOptions: 'an object such as { timeoutMs: 5000 }',
  now: 'a function',
  fetch: 'a function',
  onError: 'a function',
  allowHttp: 'true or false',
  status: 'statusList() of countersign/status',
  store: 'an object with functions get and put',
  cache: 'a whole number of tokens from 0 to 1000000',
}

/** Says that a name is unknown, with the known name of the most similar beginning: people write `aud`, `jwksUri`, `audiance`. */
export function problemOfName(name: string, known: readonly string[], prefix: string): string {
  const near = known.reduce((best, other) => (likeness(name, other) > likeness(name, best) ? other : best))
  const advice = likeness(name, near) < 3 ? `the options are ${known.join(', ')}` : `did you mean ${prefix}${near}?`
  return `is unknown; ${advice}`
}

/** Says why a value for the option `jwks` is neither a URL to fetch nor a JWK Set; `undefined` if it is a set. */
export function problemOfKeys(jwks: unknown): string | undefined {
  if (typeof jwks === 'string') return problemOfUrl(jwks)
  if (typeof jwks !== 'object' || jwks === null || Array.isArray(jwks)) return `is ${kindOf(jwks)}; expected a URL or a JWK Set object`
  const { keys, d, k } = jwks as Readonly<Record<string, unknown>>
  if (Array.isArray(keys)) return undefined
  if ((d ?? k ?? null) !== null) return IS_PRIVATE
  return `is ${'kty' in jwks ? 'a single JWK' : 'no JWK Set'}; expected { keys: [...] }`
}

/** Says why there is no metadata that could name the key set. */
function problemOfDiscovery([issuer = '', ...others]: readonly string[]): string {
  const problem =
    others.length > 0 ? 'is one of several'
    : issuer.includes('{') ? 'holds the name of a claim'
    : /[?#]/.test(issuer) ? 'has a query or fragment'
    : problemOfUrl(issuer)
  const otherwise = others.length > 0 ? ', or an array of options, with one for each issuer' : ''
  return `is left out, but there is no metadata to take it from: the issuer ${problem}; give jwks${otherwise}`
}

/** Says why a text is not a URL to fetch. */
export function problemOfUrl(text: string): string {
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
  if (url.username !== '' || url.password !== '') {
    return 'has a user name or password; expected a URL without: fetch takes none'
  }
  return `is a URL with ${url.protocol}; expected https: (http: only to a loopback host, or with jwksOptions.allowHttp)`
}

/** Says why a document could not be fetched. `cause` is the error of `fetch`, if there is one. */
export function problemOfFetch(kind: DocumentKind, url: URL, { response, text }: Received, cause: unknown): string {
  if (response === undefined || cause !== undefined) return problemOfNetwork(cause)
  const { status, headers } = response
  // Browsers report a redirect as status 0.
  if (status === 0 || (status >= 300 && status < 400)) {
    return `the response is a redirect${targetOf(headers.get('location'), url)}; give the final ${kind === 'metadata' ? 'issuer, or jwks' : 'URL'}`
  }
  if (status !== 200) return `HTTP status ${status}; expected 200`
  if (text === undefined) return 'the response is more than 1 MiB'
  const type = /^[\w.+-]+\/[\w.+-]+/.exec(headers.get('content-type') ?? '')?.[0] ?? 'no content type'
  const found = /^\s*</.test(text) ? 'HTML or XML, not JSON' : 'not JSON'
  return `the response is ${found} (${type}); expected ${kind === 'metadata' ? 'a JSON object' : WHERE_SETS_ARE}`
}

/** Describes a network error without the runtime's message, which may quote the URL with its query. */
function problemOfNetwork(error: unknown): string {
  if (inBrowser()) return `the network request failed; a likely cause is CORS: the response must have Access-Control-Allow-Origin`
  const code = (error as { cause?: { code?: unknown } } | undefined)?.cause?.code
  return `the network request failed${typeof code === 'string' ? ` (${code})` : ''}`
}

/** Names the target of a redirect without its query. Browsers hide it. */
function targetOf(location: string | null, from: URL): string {
  try {
    if (location === null) return ''
    const { origin, pathname } = new URL(location, from)
    return ` to ${origin}${pathname}`
  } catch {
    return ''
  }
}

/** Says why a key set has no usable key. */
export function problemOfUnusable(text: string): string {
  const { keys } = JSON.parse(text) as { keys: readonly unknown[] }
  if (keys.length === 0) return 'the set is empty; expected the keys that the issuer signs with'
  if (keys.some((key) => problemOfKeys(key) === IS_PRIVATE)) return `a key of the set ${IS_PRIVATE}`
  return `none of its ${keys.length} keys is usable; expected a public RSA key for RS256, of 2048 bits or more: countersign lint says why`
}

export const WHERE_SETS_ARE = "a JWK Set, whose URL is the jwks_uri in the issuer's metadata"

/** The same text as in the WebAssembly module. */
const IS_PRIVATE = 'is a private or secret key: remove it, and rotate it, since it may have leaked'

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
