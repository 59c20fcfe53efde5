// The examination of a JWK Set, for the command `lint` and the page `inspect.html`.

import { VerifyError } from '../errors.js'
import type { Jwk, JwkSet, Verifier, VerifierOptions } from '../types.js'
import { WasmVerifier } from '../wasm.js'
import { decodeLoosely, encodeJson } from './encoding.js'
import { show } from './show.js'

/** `createVerifier` of the runtime's entry point. */
export type CreateVerifier = (options: VerifierOptions) => Promise<Verifier>

/** The verdict on a key. */
export interface Finding {
  readonly key: Jwk
  /** `undefined` if the key is usable. */
  readonly refusal: VerifyError | undefined
  /** The key is private or secret: anyone who can read the set can sign tokens. */
  readonly secret: boolean
  /** Faults that do not make the key unusable. */
  readonly warnings: readonly string[]
}

const POLICY = { issuer: '-', audience: '-' }

/** Parses a JWK Set as strictly as a verifier parses a response. */
export async function parseKeySet(text: string, createVerifier: CreateVerifier): Promise<JwkSet> {
  // It loads the module.
  await createVerifier({ ...POLICY, jwks: { keys: [] } })
  new WasmVerifier().setKeys(text)
  return JSON.parse(text) as JwkSet
}

/** Examines each key. All share one verifier with the whole set, because a set can have a thousand keys. */
export async function examineAll(set: JwkSet, createVerifier: CreateVerifier): Promise<Finding[]> {
  const verifier = await createVerifier({ ...POLICY, jwks: set })
  const copies = new Map<string, number>()
  for (const text of set.keys.map((key) => JSON.stringify(key))) copies.set(text, (copies.get(text) ?? 0) + 1)
  return Promise.all(set.keys.map((key) => examine(key, verifier, copies.get(JSON.stringify(key)) ?? 1, createVerifier)))
}

/** Verifies with the key alone, then with its set, which has so many copies of the key. */
async function examine(entry: unknown, whole: Verifier, copies: number, createVerifier: CreateVerifier): Promise<Finding> {
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
    if (decodeLoosely(value)[0] === 0) warnings.push(`${name} begins with a zero octet`)
  }
  if (copies > 1) warnings.push('it is in the set more than once')
  return warnings
}

/** Returns the refusal of a token with this `kid`, unless it is one of the signature: then the key is usable. */
function refusalOf(verifier: Verifier, kid: string | undefined): VerifyError | undefined {
  const header = encodeJson({ alg: 'RS256', typ: 'at+jwt', kid })
  try {
    verifier.verifySync(`${header}.e30.AA`)
  } catch (error) {
    if (!(error instanceof VerifyError)) throw error
    if (error.stage !== 'signature') return error
  }
  return undefined
}

/** Says why a key is not usable. */
export function problemOf({ code, message }: VerifyError): string {
  if (code === 'key_not_found') return 'it has no kid, which is allowed only if the set has exactly one usable key'
  // The message begins with the fact that the key must not be used.
  return show(message.slice(message.indexOf(': ') + 2))
}

/** Formats `RSA, 2048 bits` or `EC, P-256`. */
export function describe({ kty, n, crv }: Jwk): string {
  if (kty !== 'RSA' || typeof n !== 'string') return [kty, crv].filter((part) => part !== undefined).map(show).join(', ')
  const octets = decodeLoosely(n)
  const start = octets.findIndex((octet) => octet !== 0)
  return `RSA, ${start < 0 ? 0 : (octets.length - start) * 8 - Math.clz32(octets[start] ?? 0) + 24} bits`
}
