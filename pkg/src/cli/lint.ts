import { createVerifier, VerifyError, type Jwk, type JwkSet } from '../node.js'
import { UsageError, type Command } from './command.js'
import { readKeySource, type KeySource } from './input.js'
import { err, out, show } from './terminal.js'

const HELP = `Usage: countersign lint [--json] JWKS

Tells of each key of a JWK Set whether a verifier would use it, and if not, why. JWKS is a URL, a file, or
- for standard input.

  --json   print JSON: { keys: [{ kid, kty, usable, private, reason }, …] }

Exit codes: 0 good; 1 no key can be used, or one is private; 2 the command line is wrong, or JWKS is no
JWK Set.
`

/** What a verifier makes of a key. */
interface Finding {
  readonly key: Jwk
  /** `undefined`: it can be used. */
  readonly reason: string | undefined
  /** It is private or secret: whoever can read the set can sign. */
  readonly secret: boolean
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
      if (error.code === 'options_invalid') throw new UsageError(error.message.replace(/^option `jwks`/, show(name)))
      err.line(`${err.paint('red', error.code)}: ${show(error.message)}`)
      return 1
    }
    if (line.has('json')) printJson(findings)
    else print(findings)
    return findings.some(({ reason }) => reason === undefined) && !findings.some(({ secret }) => secret) ? 0 : 1
  },
}

const POLICY = { issuer: '-', audience: '-' }

/** Has a verifier read the set as it reads any that it fetches, strictly. */
async function load(source: KeySource): Promise<JwkSet> {
  const verifier = await createVerifier(
    'url' in source
      ? { ...POLICY, jwks: source.url }
      : { ...POLICY, jwks: 'https://localhost', fetch: async () => new Response(source.text) },
  )
  await verifier.refresh()
  return verifier.keys()
}

/** Has a verifier look for the key, first where there is no other, then in its set. */
async function examine(key: Jwk, set: JwkSet): Promise<Finding> {
  const alone = await refusal({ keys: [key] }, undefined)
  const refused = alone ?? (await refusal(set, key.kid))
  return {
    key,
    reason: refused?.message.replace(/^the token's key must not be used: /, ''),
    secret: 'k' in key || (alone?.message.includes('it is a private key') ?? false),
  }
}

/** Why a token that names this key is refused before its signature is looked at. */
async function refusal(set: JwkSet, kid: string | undefined): Promise<VerifyError | undefined> {
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
  const usable = findings.filter(({ reason }) => reason === undefined).length
  out.line(`${findings.length} ${findings.length === 1 ? 'key' : 'keys'}, ${usable} usable`)
  if (findings.length === 0) return
  out.line()
  const rows = findings.map(({ key, reason }) => {
    const verdict = reason === undefined ? out.paint('green', 'usable') : `${out.paint('red', 'not usable')}: ${show(reason)}`
    return [key.kid === undefined ? '(no kid)' : show(key.kid), describe(key), verdict]
  })
  out.table(rows)
  if (!findings.some(({ secret }) => secret)) return
  out.line()
  out.line(out.paint('red', 'A private or secret key is in this set: replace it, for whoever could read it can sign tokens.'))
}

function printJson(findings: readonly Finding[]): void {
  out.json({
    keys: findings.map(({ key, reason, secret }) => {
      return { kid: key.kid, kty: key.kty, usable: reason === undefined, private: secret, reason }
    }),
  })
}

/** `RSA, 2048 bits`, `EC, P-256`. */
function describe({ kty, n, crv }: Jwk): string {
  if (kty !== 'RSA' || typeof n !== 'string') return [kty, crv].filter((part) => part !== undefined).map(show).join(', ')
  const bytes = Buffer.from(n, 'base64url')
  const bits = bytes.length * 8 - Math.clz32(bytes[0] ?? 0) + 24
  return `RSA, ${bytes.length === 0 ? 0 : bits} bits`
}
