import { decodeUnverified, type Jwk, type Verifier, type VerifyError } from '../node.js'
import type { CommandLine } from './command.js'
import { parseJson } from './encoding.js'
import { SCOPE_CLAIMS } from './policy.js'
import { quote, show } from './show.js'

/** Returns a hint with the token's own value. */
export function adviceOn(error: VerifyError, token: string, verifier: Verifier, line: CommandLine): string | undefined {
  const { code, claim = '', claims = {} } = error
  const value = claims[claim]
  switch (code) {
    case 'token_malformed':
      return 'run countersign explain on the token to see as much as can be read'
    case 'algorithm_not_allowed':
      return `its alg is ${show(decodeUnverified(token).header['alg'])}: set the issuer to RS256`
    case 'type_mismatch': {
      const { typ } = decodeUnverified(token).header
      if (typeof typ !== 'string') return 'it has no typ: to accept it, add --type null'
      return `its typ is ${show(typ)}: to accept it, add --type ${quote(show(typ))}`
    }
    case 'key_not_found': {
      const kids = verifier.keys().keys.map((key) => show((Object(key) as Jwk).kid ?? '(a key without kid)'))
      return `the set has ${kids.join(', ') || 'no keys'}: is it the key set of the token's issuer, ${issuerOf(token)}, and is it up to date?`
    }
    case 'key_rejected':
    case 'jwks_invalid':
      return 'run countersign lint on the key set for details'
    case 'jwks_unavailable':
      return line.has('jwks') ? undefined : `the issuer's metadata names the keys: if there is none, add --jwks; the token's iss is ${issuerOf(token)}`
    case 'signature_invalid':
      return "was the token changed, or is this another issuer's key set?"
    case 'claim_missing':
      return claim === 'aud' ? 'if no token of this issuer has one: --audience null, and --claim for a claim that names your client' : undefined
    case 'claim_mismatch':
      return `its ${show(claim)} is ${show(JSON.stringify(value))}${adviceOnType(claim, value)}`
    case 'claim_invalid':
    case 'issuer_mismatch':
    case 'audience_mismatch':
      return `its ${show(claim)} is ${show(value)}`
    case 'scope_insufficient':
      return value === undefined ? adviceOnScopeClaim(claim, claims) : `its ${show(claim)} is ${show(value)}`
    default:
      return undefined
  }
}

/** Returns the `iss`, which nobody has verified. */
function issuerOf(token: string): string {
  return show(decodeUnverified(token).payload['iss'] ?? null)
}

/** `--claim level=2` expects a number. */
function adviceOnType(claim: string, value: unknown): string {
  if (typeof value !== 'string' || parseJson(value) === undefined) return ''
  return `: a string, which is written --claim ${quote(show(`${claim}=${JSON.stringify(value)}`))}`
}

function adviceOnScopeClaim(claim: string, claims: Readonly<Record<string, unknown>>): string {
  const other = SCOPE_CLAIMS.find((name) => Object.hasOwn(claims, name))
  return `it has no ${show(claim)}${other === undefined ? '' : `, but ${other}: if that has the scopes, add --scope-claim ${other}`}`
}
