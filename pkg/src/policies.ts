import type { Tools } from './tools.js'
import type { JwkSet, JwtPayload, Verified, Verifier, VerifierOptions } from './types.js'

/** The verifier of one policy. */
export interface PolicyVerifier extends Verifier {
  readonly maxTokenBytes: number
  scopeClaimFor(payload: JwtPayload): string
}

type MakeVerifier = (options: VerifierOptions, index: number) => PolicyVerifier

/** A policy with one of its issuers. */
interface Candidate {
  readonly issuer: string
  readonly verifier: PolicyVerifier
  /** The text around the names of claims. */
  readonly start: string
  readonly end: string
}

/**
 * Verifies tokens of many issuers, each by its own policy. The token's `iss`, which nobody has verified yet, picks the
 * policy. That policy then checks everything, `iss` included: a wrong pick can only refuse a token.
 */
export class Policies implements Verifier {
  readonly #tools: Tools
  readonly #verifiers: readonly [PolicyVerifier, ...PolicyVerifier[]]
  readonly #maxTokenBytes: number
  readonly #exact = new Map<unknown, Candidate>()
  /** Those whose issuer has names of claims. */
  readonly #templates: Candidate[] = []

  /**
   * `make` makes the verifier of one policy.
   *
   * @throws {@link VerifyError} - `options_invalid`, naming the policy and the option.
   */
  constructor(policies: readonly VerifierOptions[], make: MakeVerifier, tools: Tools) {
    this.#tools = tools
    const verifiers = policies.map(make)
    const [first, ...others] = verifiers
    if (first === undefined) throw tools.refuseOption('options', 'is an empty array; expected at least one policy')
    this.#verifiers = [first, ...others]
    this.#maxTokenBytes = Math.max(...verifiers.map(({ maxTokenBytes }) => maxTokenBytes))
    verifiers.forEach((verifier, index) => {
      for (const issuer of new Set([policies[index]?.issuer ?? []].flat())) this.#add(issuer, verifier)
    })
  }

  async verify<Claims extends object = {}>(token: string): Promise<Verified<Claims>> {
    return this.#pick(token).verify(token)
  }

  verifySync<Claims extends object = {}>(token: string): Verified<Claims> {
    return this.#pick(token).verifySync(token)
  }

  keys(issuer?: string): JwkSet {
    const verifier = this.#find({ iss: issuer })
    if (verifier === undefined) throw this.#tools.refuseOption('issuer', 'is not one of the policies; expected the issuer whose keys to return')
    return verifier.keys()
  }

  async refresh(): Promise<void> {
    await Promise.all(this.#verifiers.map((verifier) => verifier.refresh()))
  }

  scopeClaimFor(payload: JwtPayload): string {
    return (this.#find(payload) ?? this.#verifiers[0]).scopeClaimFor(payload)
  }

  #add(issuer: string, verifier: PolicyVerifier): void {
    const [start = '', ...rest] = issuer.split(CLAIM)
    const candidate = { issuer, verifier, start, end: rest.at(-1) ?? '' }
    for (const other of [...this.#exact.values(), ...this.#templates]) {
      if (other.verifier === verifier || !overlap(pattern(issuer), pattern(other.issuer))) continue
      const [one, two] = [other, candidate].map((it) => this.#verifiers.indexOf(it.verifier))
      throw this.#tools.refuseOption(`[${two}].issuer`, `can match the same iss as [${one}].issuer; expected one policy for each issuer`)
    }
    if (rest.length === 0) this.#exact.set(issuer, candidate)
    else this.#templates.push(candidate)
  }

  #pick(token: string): PolicyVerifier {
    const [first] = this.#verifiers
    // It refuses a text that is no token or too long.
    if (typeof token !== 'string' || token.length > this.#maxTokenBytes) return first
    const verifier = this.#find(this.#payloadOf(token))
    if (verifier !== undefined) return verifier
    try {
      first.verifySync(token)
    } catch (error) {
      // A malformed token is reported as such. The expected type is different in each policy.
      if (error instanceof this.#tools.VerifyError && ['parse', 'header'].includes(error.stage) && error.code !== 'type_mismatch') throw error
    }
    throw this.#tools.refuse({ code: 'issuer_mismatch', message: "no policy is for the token's claim iss: is it a token of another issuer?" })
  }

  /** Returns the members of the payload. There are none if it is malformed: the policy that is picked then says so. */
  #payloadOf(token: string): Readonly<Record<string, unknown>> {
    try {
      return Object(this.#tools.readPart(token.split('.', 2)[1] ?? ''))
    } catch {
      return {}
    }
  }

  #find(payload: Readonly<Record<string, unknown>>): PolicyVerifier | undefined {
    const { iss } = payload
    if (typeof iss !== 'string') return undefined
    const found =
      this.#exact.get(iss) ??
      this.#templates.find(({ issuer }) => issuer.replace(CLAIM, (name) => textOf(payload[name.slice(1, -1)])) === iss) ??
      // The claim is missing, or another: the policy says so.
      this.#templates.find(({ start, end }) => iss.startsWith(start) && iss.endsWith(end))
    return found?.verifier
  }
}

/** Matches the name of a claim in an issuer, with its braces. `split` leaves it out. */
const CLAIM = /\{[^{}]*\}/g

/** Returns a claim that is a string. Nobody has verified it: other values may have no conversion to a string. */
function textOf(claim: unknown): string {
  return typeof claim === 'string' ? claim : ''
}

/** Replaces each name of a claim by `{}`: `{` stands for one unreserved character (RFC 3986 §2.3), `}` for any number. */
function pattern(issuer: string): string {
  return issuer.replace(CLAIM, '{}')
}

/** Returns true if one text matches both patterns, from these indices on. */
function overlap(a: string, b: string, i = 0, j = 0): boolean {
  const [x, y] = [a[i], b[j]]
  if ((x === '}' && overlap(a, b, i + 1, j)) || (y === '}' && overlap(a, b, i, j + 1))) return true
  if (x === undefined || y === undefined) return x === y
  // If both stand for any number, the text without this character matches too.
  if ((x === '}' && y === '}') || !shareCharacter(x, y)) return false
  return overlap(a, b, x === '}' ? i : i + 1, y === '}' ? j : j + 1)
}

function shareCharacter(x: string, y: string): boolean {
  return x === y || (/[{}]/.test(x) && /[{}\w.~-]/.test(y)) || (/[{}]/.test(y) && /[\w.~-]/.test(x))
}
