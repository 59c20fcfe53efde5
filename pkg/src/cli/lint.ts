import { fetchDocument } from '../fetch-document.js'
import { createVerifier, VerifyError, type Jwk, type JwkSet } from '../node.js'
import { readOptions } from '../options.js'
import { WasmVerifier } from '../wasm.js'
import { UsageError, type Command } from './command.js'
import { readKeySource, type KeySource } from './input.js'
import { err, out, show } from './terminal.js'

const HELP = `Usage: countersign lint [--json] JWKS

Checks each key of a JWK Set: is it usable for a verifier, and if not, why? Warns about what this package
accepts, but other software may not. JWKS is a URL, a file, or - for standard input.

  --json   print JSON: { keys: [{ kid, kty, usable, private, warnings, code?, reason?, message? }, …] }

Exit codes: 0 success; 1 no key is usable, or one is private; 2 usage error, or JWKS is no JWK Set.
`

/** Says why a key is not usable, by the `reason` of the refusal. */
export const PROBLEMS: Readonly<Record<string, string>> = {
  private: 'it is private',
  key_type: 'its kty is not "RSA"',
  use: 'its use is not "sig"',
  key_ops: 'its key_ops do not contain "verify"',
  alg: 'its alg is not "RS256"',
  kid: 'its kid is not a string',
  modulus_encoding: 'its modulus n is missing, or not base64url',
  modulus_size: 'its modulus n is out of range: expected 2048 to 8192 bits',
  modulus_even: 'its modulus n is even',
  exponent_encoding: 'its exponent e is missing, or not base64url',
  exponent_range: 'its exponent e is out of range: expected an odd number, at least 3 and below 2^33',
  duplicate_kid: 'another usable key of the set has the same kid',
  not_object: 'it is not an object',
  certificate: 'it has no n and e, only a certificate, which is not read',
}

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
  help: HELP,
  flags: { json: { type: 'boolean' } },

  async run(line) {
    const [name, ...others] = line.positionals
    if (name === undefined || others.length > 0) throw new UsageError('expected one key set: a URL, a file, or -')
    let findings: Finding[]
    try {
      const set = await load(await readKeySource(name))
      findings = await Promise.all(set.keys.map((key) => examine(key, set)))
    } catch (error) {
      if (!(error instanceof VerifyError)) throw error
      err.line(`${err.paint('red', error.code)}: ${show(error.message)}`)
      return 1
    }
    if (line.has('json')) printJson(findings)
    else print(findings)
    return findings.some(({ refusal }) => refusal === undefined) && !findings.some(({ secret }) => secret) ? 0 : 1
  },
}

const POLICY = { issuer: '-', audience: '-' }

/** Reads the set with a verifier's strict parser. */
async function load(source: KeySource): Promise<JwkSet> {
  // It loads the module.
  await createVerifier({ ...POLICY, jwks: { keys: [] } })
  const text = 'url' in source ? await fetchText(source.url) : source.text
  new WasmVerifier().setKeys(text)
  return JSON.parse(text) as JwkSet
}

async function fetchText(url: string): Promise<string> {
  const { remote } = readOptions({ ...POLICY, jwks: url })
  return (await fetchDocument('key set', new URL(url), remote, undefined)).text
}

/** Verifies with the key alone, then with its set. */
async function examine(entry: unknown, set: JwkSet): Promise<Finding> {
  const alone = await refusalOf({ keys: [entry as Jwk] }, undefined)
  const key = Object(entry) as Jwk
  const refusal = alone ?? (await refusalOf(set, key.kid ?? undefined))
  const secret = (key['k'] ?? null) !== null || alone?.reason === 'private'
  return { key, refusal, secret, warnings: warningsOn(key, set) }
}

/** Names what a verifier tolerates, though the standards do not allow it. */
function warningsOn(key: Jwk, { keys }: JwkSet): string[] {
  const warnings: string[] = []
  for (const [name, value] of Object.entries(key)) if (value === null) warnings.push(`${show(name)} is null`)
  for (const name of ['n', 'e'] as const) {
    const value = key[name]
    if (typeof value !== 'string') continue
    if (value.includes('=')) warnings.push(`${name} is padded`)
    if (/[+/]/.test(value)) warnings.push(`${name} is in base64, not base64url`)
    if (Buffer.from(value, 'base64')[0] === 0) warnings.push(`${name} begins with a zero octet`)
  }
  if (keys.filter((other) => JSON.stringify(other) === JSON.stringify(key)).length > 1) warnings.push('it is in the set more than once')
  return warnings
}

/** Returns the refusal of a token with this `kid`, unless it is one of the signature: then the key is usable. */
async function refusalOf(set: JwkSet, kid: string | undefined): Promise<VerifyError | undefined> {
  const header = Buffer.from(JSON.stringify({ alg: 'RS256', typ: 'at+jwt', kid })).toString('base64url')
  const verifier = await createVerifier({ ...POLICY, jwks: set })
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

function problemOf({ code, reason = '', message }: VerifyError): string {
  if (code === 'key_not_found') return 'it has no kid, which is allowed only if the set has exactly one usable key'
  return PROBLEMS[reason] ?? show(message)
}

/** Formats `RSA, 2048 bits` or `EC, P-256`. */
function describe({ kty, n, crv }: Jwk): string {
  if (kty !== 'RSA' || typeof n !== 'string') return [kty, crv].filter((part) => part !== undefined).map(show).join(', ')
  const digits = Buffer.from(n, 'base64url').toString('hex').replace(/^0+/, '')
  return `RSA, ${digits === '' ? 0 : digits.length * 4 - Math.clz32(parseInt(digits.charAt(0), 16)) + 28} bits`
}
