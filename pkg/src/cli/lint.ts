import { fetchDocument } from '../fetch-document.js'
import { createVerifier, VerifyError, type Jwk, type JwkSet, type Verifier } from '../node.js'
import { DEFAULTS } from '../options.js'
import { WasmVerifier } from '../wasm.js'
import { exitCodeOf, UsageError, type Command } from './command.js'
import { ALLOW_HTTP_FLAG, readKeySet, readKeySource } from './input.js'
import { err, out, show, showMessage } from './terminal.js'

/** The verdict on a key. */
interface Finding {
  readonly key: Jwk
  /** `undefined` if the key is usable. */
  readonly refusal: VerifyError | undefined
  /** The key is private or secret: anyone who can read the set can sign tokens. */
  readonly secret: boolean
  /** Faults that do not make the key unusable. */
  readonly warnings: readonly string[]
}

export const lint: Command = {
  summary: 'check each key of a JWK Set',
  about: `Checks each key of a JWK Set: is it usable for a verifier, and if not, why? Warns about keys that
this package accepts, but other software may not. JWKS is a URL or a file. Without it, or with -,
reads standard input.`,
  argument: { name: '[JWKS | -]', complete: 'files' },
  flags: {
    'allow-http': ALLOW_HTTP_FLAG,
    json: { help: 'print JSON: { keys: [{ kid, kty, usable, private, warnings, code?, message?, … }] }' },
  },
  example: 'curl --silent https://auth.example/.well-known/jwks.json | countersign lint',
  exitCodes: '0 success; 1 no key is usable, or one is private; 2 usage error, or JWKS is no JWK Set; 3 JWKS cannot be fetched now.',

  async run(line) {
    const [name = '-', ...others] = line.positionals
    const isMissing = line.positionals.length === 0 && process.stdin.isTTY
    if (isMissing || others.length > 0) throw new UsageError('expected one key set: a URL, a file, or - for standard input')
    let findings: Finding[]
    try {
      const set = await load(name, line.has('allow-http'))
      findings = await examineAll(set)
    } catch (error) {
      if (!(error instanceof VerifyError)) throw error
      err.line(`${err.paint('red', error.code)}: ${showMessage(error.message)}`)
      return exitCodeOf(error)
    }
    if (line.has('json')) printJson(findings)
    else print(findings)
    return findings.some(({ refusal }) => refusal === undefined) && !findings.some(({ secret }) => secret) ? 0 : 1
  },
}

const POLICY = { issuer: '-', audience: '-' }

/** Reads the set with a verifier's strict parser. */
async function load(name: string, allowHttp: boolean): Promise<JwkSet> {
  const source = await readKeySource(name, allowHttp)
  // It loads the module.
  await createVerifier({ ...POLICY, jwks: { keys: [] } })
  const text = 'url' in source ? await fetchText(source.url, allowHttp) : source.text
  new WasmVerifier().setKeys(text)
  return JSON.parse(text) as JwkSet
}

async function fetchText(jwks: string, allowHttp: boolean): Promise<string> {
  const url = new URL(jwks)
  const { text } = await fetchDocument('key set', url, { ...DEFAULTS.remote, allowHttp }, undefined)
  readKeySet(`${url.origin}${url.pathname}`, text)
  return text
}

/** Examines each key. All share one verifier with the whole set, because a set can have a thousand keys. */
async function examineAll(set: JwkSet): Promise<Finding[]> {
  const verifier = await createVerifier({ ...POLICY, jwks: set })
  const copies = new Map<string, number>()
  for (const text of set.keys.map((key) => JSON.stringify(key))) copies.set(text, (copies.get(text) ?? 0) + 1)
  return Promise.all(set.keys.map((key) => examine(key, verifier, copies.get(JSON.stringify(key)) ?? 1)))
}

/** Verifies with the key alone, then with its set, which has so many copies of the key. */
async function examine(entry: unknown, whole: Verifier, copies: number): Promise<Finding> {
  const alone = refusalOf(await createVerifier({ ...POLICY, jwks: { keys: [entry as Jwk] } }), undefined)
  const key = Object(entry) as Jwk
  const refusal = alone ?? refusalOf(whole, key.kid ?? undefined)
  const secret = (key['k'] ?? null) !== null || alone?.reason === 'private'
  return { key, refusal, secret, warnings: warningsOn(key, copies) }
}

/** Names the faults that this package tolerates, but the standards do not allow. */
function warningsOn(key: Jwk, copies: number): string[] {
  const warnings: string[] = []
  for (const [name, value] of Object.entries(key)) if (value === null) warnings.push(`${show(name)} is null`)
  for (const name of ['n', 'e'] as const) {
    const value = key[name]
    if (typeof value !== 'string') continue
    if (value.includes('=')) warnings.push(`${name} is padded`)
    if (/[+/]/.test(value)) warnings.push(`${name} is in base64, not base64url`)
    if (Buffer.from(value, 'base64')[0] === 0) warnings.push(`${name} begins with a zero octet`)
  }
  if (copies > 1) warnings.push('it is in the set more than once')
  return warnings
}

/** Returns the refusal of a token with this `kid`, unless it is one of the signature: then the key is usable. */
function refusalOf(verifier: Verifier, kid: string | undefined): VerifyError | undefined {
  const header = Buffer.from(JSON.stringify({ alg: 'RS256', typ: 'at+jwt', kid })).toString('base64url')
  try {
    verifier.verifySync(`${header}.e30.AA`)
  } catch (error) {
    if (!(error instanceof VerifyError)) throw error
    if (error.stage !== 'signature') return error
  }
  return undefined
}

function print(findings: readonly Finding[]): void {
  const usable = findings.filter(({ refusal }) => refusal === undefined).length
  out.line(`${findings.length} ${findings.length === 1 ? 'key' : 'keys'}, ${usable} usable`)
  if (findings.length === 0) return
  out.line()
  const rows = findings.map(({ key, refusal, warnings }) => {
    const verdict =
      refusal !== undefined ? `${out.paint('red', 'not usable')}: ${problemOf(refusal)}`
      : warnings.length > 0 ? `${out.paint('green', 'usable')}, ${out.paint('yellow', 'but')} ${warnings.join(', ')}`
      : out.paint('green', 'usable')
    return [(key.kid ?? undefined) === undefined ? '(no kid)' : show(key.kid), describe(key), verdict]
  })
  out.table(rows)
  if (!findings.some(({ secret }) => secret)) return
  out.line()
  out.line(out.paint('red', 'The set has a private or secret key: replace the key, since anyone who has read it can sign tokens.'))
}

function printJson(findings: readonly Finding[]): void {
  out.json({
    keys: findings.map(({ key: { kid, kty }, refusal, secret, warnings }) => {
      const { code, reason, message } = refusal ?? {}
      return { kid, kty, usable: refusal === undefined, private: secret, warnings, code, reason, message }
    }),
  })
}

function problemOf({ code, message }: VerifyError): string {
  if (code === 'key_not_found') return 'it has no kid, which is allowed only if the set has exactly one usable key'
  // The message begins with the fact that the key must not be used.
  return show(message.slice(message.indexOf(': ') + 2))
}

/** Formats `RSA, 2048 bits` or `EC, P-256`. */
function describe({ kty, n, crv }: Jwk): string {
  if (kty !== 'RSA' || typeof n !== 'string') return [kty, crv].filter((part) => part !== undefined).map(show).join(', ')
  const digits = Buffer.from(n, 'base64url').toString('hex').replace(/^0+/, '')
  return `RSA, ${digits === '' ? 0 : digits.length * 4 - Math.clz32(parseInt(digits.charAt(0), 16)) + 28} bits`
}
