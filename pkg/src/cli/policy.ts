import type { VerifierOptions } from '../node.js'
import { readClaims } from './claim-values.js'
import type { CommandLine, Flag } from './command.js'

/** A flag that sets an option of the policy. */
interface PolicyFlag extends Flag {
  readonly option: keyof VerifierOptions
  /** Returns the value of the option. */
  read(values: readonly string[]): unknown
}

/** The claims in which issuers write scopes. */
export const SCOPE_CLAIMS = ['scope', 'scp', 'permissions', 'roles']

const asItIs = ([value]: readonly string[]) => value
const all = (values: readonly string[]) => values
const number = ([value]: readonly string[]) => Number(value)
/** Reads one or several. The given words stand for `null`. */
const orNull = (...words: string[]) => (values: readonly string[]) => {
  const read = values.map((value) => (words.includes(value) ? null : value))
  return read.length === 1 ? read[0] : read
}

export const POLICY_FLAGS: Readonly<Record<string, PolicyFlag>> = {
  issuer: {
    option: 'issuer',
    value: { name: 'I' },
    required: true,
    multiple: true,
    help: 'the expected issuer, claim iss; {tid} in it stands for the claim tid; repeat the flag for alternatives',
    read: all,
  },
  audience: {
    option: 'audience',
    value: { name: 'A' },
    required: true,
    multiple: true,
    help: 'the expected audience, claim aud; null checks none, and needs --claim; repeat the flag for alternatives',
    read: orNull('null'),
  },
  type: {
    option: 'type',
    value: { name: 'T', complete: ['at+jwt', 'JWT', 'null'] },
    multiple: true,
    help: 'the expected type, header parameter typ; default at+jwt; null (or any, none) accepts any and none; repeat the flag for alternatives',
    read: orNull('null', 'any', 'none'),
  },
  claim: {
    option: 'claims',
    value: { name: 'NAME=VALUE' },
    multiple: true,
    help: 'a claim and its value; 2 and true are a number and a boolean, "2" and other text a string; repeat the flag for more, or a name for alternatives',
    read: readClaims,
  },
  'required-claim': {
    option: 'requiredClaims',
    value: { name: 'NAME' },
    multiple: true,
    help: 'a claim that must be there; repeat the flag for more',
    read: all,
  },
  scope: {
    option: 'scope',
    value: { name: 'S' },
    multiple: true,
    help: 'a scope that the token must have; repeat the flag for more',
    read: all,
  },
  'scope-claim': {
    option: 'scopeClaim',
    value: { name: 'NAME', complete: SCOPE_CLAIMS },
    help: 'the claim with the scopes, such as scp, permissions, roles; default scope',
    read: asItIs,
  },
  'clock-tolerance': {
    option: 'clockTolerance',
    value: { name: 'SECONDS' },
    help: 'the difference of clocks to tolerate, up to 300; default 0',
    read: number,
  },
  'max-token-age': {
    option: 'maxTokenAge',
    value: { name: 'SECONDS' },
    help: 'the greatest age, since claim iat; default none',
    read: number,
  },
  'max-token-bytes': {
    option: 'maxTokenBytes',
    value: { name: 'N' },
    help: 'the greatest length of the token; default 16384',
    read: number,
  },
}

/** Returns the options of the flags that were given. The verifier checks their values. */
export function readPolicy(line: CommandLine): Partial<VerifierOptions> {
  const given = Object.entries(POLICY_FLAGS).filter(([name]) => line.has(name))
  return Object.fromEntries(given.map(([name, { option, read }]) => [option, read(line.values(name))]))
}
