/**
 * Revocation by Token Status List (draft-ietf-oauth-status-list).
 *
 * @module countersign/status
 */

import { checkNames, members, numberIn, readStore, type Members } from './all-options.js'
import { refuseOption } from './errors.js'
import { isObject } from './options.js'
import { OptionFault } from './option-fault.js'
import type { WithStatus } from './prepare.js'
import { StatusVerifier, type StatusSettings } from './status-verifier.js'
import { tools } from './tools.js'
import type { KeyStore, StatusCheck } from './types.js'

export type { StatusCheck } from './types.js'

/** The options of {@link statusList}. */
export interface StatusListOptions {
  /**
   * The time after a list's lifetime (its `ttl`) for which it stays in use if its endpoint fails, or if nobody renews it:
   * seconds, 0…604800. Default 300. After that its tokens are refused with `status_unavailable`.
   */
  maxStale?: number | undefined
  /** True refuses tokens that name no status list, with `claim_missing`. Default false: nobody can revoke them. */
  required?: boolean | undefined
  /**
   * The statuses to accept besides 0 (valid): whole numbers, 2…255. Default: none. 2 is *suspended*; 3 and 12 to 15 are the
   * issuer's own. 1 (invalid) is always refused.
   */
  accepted?: readonly number[] | undefined
  /**
   * More origins that lists may be fetched from, such as `https://status.example`. Those of `issuer` and of a URL in `jwks`
   * always may. A token that names another is refused with `claim_invalid`.
   */
  origins?: readonly string[] | undefined
  /** Keeps fetched lists for other processes and for the next start. Default: none. What it returns is verified. */
  store?: KeyStore | undefined
}

/**
 * Returns the option `status` of `createVerifier`: tokens whose status list says that they were revoked are refused.
 *
 * A token names its list and its index in it (`status.status_list`). The list is a JWT, which must have `typ`
 * `statuslist+jwt`, a signature by a key of the verifier, `sub` equal to its URL, and `iat`; `iss`, `exp` and `nbf` are checked
 * if they are there. It is fetched like a key set, with `fetch` and `jwksOptions` of the verifier: `timeoutMs`, `minTtl`,
 * `maxTtl`, `allowHttp`, `onError`, `waitUntil`. Its lifetime is its `ttl` less the response's `Age`. Lists of all tokens take at most 64 MiB; if there is no room,
 * the one that was not used for the longest time is dropped.
 *
 * `verify` fetches a list that is missing or whose lifetime is over, and renews it in the background after 80 to 90 % of
 * that.
 * `verifySync` looks at loaded lists alone. `refresh` fetches those that tokens named since the last one.
 *
 * | code | when |
 * |---|---|
 * | `token_revoked` | the token's status is neither 0 nor in `accepted` |
 * | `status_unavailable` | the list is not loaded, too old, expired, has another `iss`, or no such index; retryable |
 * | `claim_invalid` | the claim `status` is malformed, or names a list of another origin |
 * | `claim_missing` | the claim is missing, and `required` |
 *
 * Wrong options are refused by `createVerifier`, with `options_invalid`. So is a runtime without `DecompressionStream`.
 */
export function statusList(options: StatusListOptions = {}): StatusCheck {
  // The caller may change the options later.
  const copyOf = ([name, value]: [string, unknown]) => [name, Array.isArray(value) ? [...value] : value]
  const given: unknown = isObject(options) ? Object.fromEntries(Object.entries(options).map(copyOf)) : options
  const check: WithStatus = (verifier, settings) => new StatusVerifier(verifier, settings, readOptions(given))
  return check as unknown as StatusCheck
}

/** @throws {@link OptionFault} and {@link VerifyError} */
function readOptions(options: unknown): StatusSettings {
  if (typeof DecompressionStream === 'undefined') throw refuseOption('status', 'needs DecompressionStream, which this runtime lacks')
  const given = members(options, 'status', tools)
  try {
    return readMembers(given)
  } catch (fault) {
    throw fault instanceof OptionFault ? Object.assign(fault, { prefix: 'status.' }) : fault
  }
}

function readMembers(given: Members): StatusSettings {
  checkNames(given, ['maxStale', 'required', 'accepted', 'origins', 'store'])
  return {
    maxStale: numberIn(given, 'maxStale', 0, 604_800, 300),
    required: read(given, 'required', false, isFlag, 'true or false'),
    accepted: new Set(read(given, 'accepted', [], areAcceptable, 'an array of whole numbers from 2 to 255')),
    origins: read(given, 'origins', [], areOrigins, 'an array of origins such as https://status.example'),
    store: readStore(given['store']),
  }
}

function read<T>(given: Members, name: string, otherwise: T, isGood: (value: unknown) => value is T, expected: string): T {
  const { [name]: value = otherwise } = given
  if (!isGood(value)) throw new OptionFault('type', name, value, expected)
  return value
}

function isFlag(value: unknown): value is boolean {
  return typeof value === 'boolean'
}

function areAcceptable(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((status) => Number.isInteger(status) && status >= 2 && status <= 255)
}

function areOrigins(value: unknown): value is string[] {
  return Array.isArray(value) && value.every(isOrigin)
}

function isOrigin(text: unknown): boolean {
  try {
    return new URL(text as string).origin === text
  } catch {
    return false
  }
}
