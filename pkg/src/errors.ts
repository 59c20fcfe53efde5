/** The steps of the verification, in their order. */
export type Stage = 'options' | 'parse' | 'header' | 'key' | 'signature' | 'claims' | 'status'

/** The stage of each code. */
export const STAGE_OF = {
  options_invalid: 'options',
  token_too_large: 'parse',
  token_malformed: 'parse',
  header_invalid: 'header',
  algorithm_not_allowed: 'header',
  type_mismatch: 'header',
  critical_unsupported: 'header',
  key_not_found: 'key',
  key_rejected: 'key',
  jwks_unavailable: 'key',
  jwks_invalid: 'key',
  signature_invalid: 'signature',
  claim_missing: 'claims',
  claim_invalid: 'claims',
  claim_mismatch: 'claims',
  issuer_mismatch: 'claims',
  audience_mismatch: 'claims',
  token_expired: 'claims',
  token_not_yet_valid: 'claims',
  token_too_old: 'claims',
  scope_insufficient: 'claims',
  token_revoked: 'status',
  status_unavailable: 'status',
} as const satisfies Record<string, Stage>

/**
 * Why a token, an option or a key set was refused. The strings are stable.
 *
 * | stage | code | meaning |
 * |---|---|---|
 * | options | `options_invalid` | an option is unknown, missing, of the wrong type or out of range; see `reason` |
 * | parse | `token_too_large` | longer than `maxTokenBytes` |
 * | parse | `token_malformed` | not a JWS in compact form: not a string, not three parts, not strict base64url, not strict JSON |
 * | header | `header_invalid` | a header parameter is missing or of the wrong type; see `reason` |
 * | header | `algorithm_not_allowed` | `alg` is not RS256 |
 * | header | `type_mismatch` | `typ` is not the expected one |
 * | header | `critical_unsupported` | `crit` (or `b64`) asks for an extension; none is supported |
 * | key | `key_not_found` | no key of the set fits the token |
 * | key | `key_rejected` | the key that fits must not be used (too short, private, another `alg`…), or two different keys fit; see `reason` |
 * | key | `jwks_unavailable` | no keys are loaded, they could not be fetched, or none is usable; retryable |
 * | key | `jwks_invalid` | the key set is not a JWK Set; see `reason` |
 * | signature | `signature_invalid` | the signature does not fit the token and the key |
 * | claims | `claim_missing` | a required claim is absent; see `claim` |
 * | claims | `claim_invalid` | a claim has the wrong type; see `claim` |
 * | claims | `claim_mismatch` | a claim has none of the values of the option `claims`; see `claim` |
 * | claims | `issuer_mismatch` | `iss` is not an expected issuer, or no policy is for it |
 * | claims | `audience_mismatch` | `aud` has no expected audience |
 * | claims | `token_expired` | `exp` is now or in the past |
 * | claims | `token_not_yet_valid` | `nbf` or `iat` is in the future; retryable |
 * | claims | `token_too_old` | `iat` is longer ago than `maxTokenAge` |
 * | claims | `scope_insufficient` | a required scope is not in the token |
 * | status | `token_revoked` | its status list says that the token was revoked, or has another status than valid |
 * | status | `status_unavailable` | its status list is not available, so the token may have been revoked; retryable |
 */
export type ErrorCode = keyof typeof STAGE_OF

/** The members of a {@link VerifyError}. */
export interface VerifyErrorFields {
  /** The kind of the refusal. */
  code: ErrorCode
  /** The step that refused. */
  stage: Stage
  /** One line that says what was wrong and what was expected. */
  message: string
  /** The detail of the code: an option, a header parameter, or a fault of the key or the key set. */
  reason?: string
  /** The claim that the code is about. */
  claim?: string
  /** True if the same call can succeed later. */
  retryable: boolean
  /** The value for a `WWW-Authenticate` response header. */
  wwwAuthenticate: string
  /** The token's claims, if the signature was valid. */
  claims?: Readonly<Record<string, unknown>>
}

/**
 * The error of every refusal by this package. `message` is one line that says what was wrong and what was expected. It
 * holds no part of the token, of its signature or of a key.
 */
export class VerifyError extends Error {
  /** The kind of the refusal, as a stable string. */
  declare readonly code: ErrorCode
  /** The step that refused. A token with two faults reports the earlier step. */
  declare readonly stage: Stage
  /**
   * The detail of the code, as a stable string. It is set for four codes:
   *
   * | code | `reason` |
   * |---|---|
   * | `options_invalid` | the option's name, such as `issuer` or `jwksOptions.minTtl`, or in an array `[1].issuer`; `options` if they are not an object; `webassembly` if the runtime has none |
   * | `header_invalid` | the header parameter: `alg`, `kid`, `typ`, `zip` |
   * | `key_rejected` | the fault of the key: `not_object`, `private`, `key_type`, `use`, `key_ops`, `alg`, `kid`, `duplicate_kid`, `certificate`, `modulus_encoding`, `modulus_size`, `modulus_even`, `exponent_encoding`, `exponent_range` |
   * | `jwks_invalid` | the fault of the key set: `json`, `no_keys_array`, `private_key`, `too_many_keys` |
   */
  declare readonly reason?: string
  /** The claim that the code is about, if it is about one. */
  declare readonly claim?: string
  /** True if the same call can succeed later: for `jwks_unavailable`, `status_unavailable` and `token_not_yet_valid`. */
  declare readonly retryable: boolean
  /** The value for a `WWW-Authenticate` response header (RFC 6750 §3). */
  declare readonly wwwAuthenticate: string
  /** The token's claims, frozen. Set only if the signature was valid: at the stages `claims` and `status`. */
  declare readonly claims?: Readonly<Record<string, unknown>>

  /** Makes an error. Test doubles of a verifier need it. */
  constructor(fields: VerifyErrorFields, cause?: unknown) {
    super(fields.message, cause === undefined ? undefined : { cause })
    this.name = 'VerifyError'
    for (const [name, value] of Object.entries(fields)) {
      // A member without a value stays absent.
      if (value !== undefined) Object.assign(this, { [name]: value })
    }
  }
}

/** The fields of a refusal that its code does not decide. */
type Refusal = Pick<VerifyErrorFields, 'code' | 'message' | 'reason' | 'claim' | 'claims'> & {
  /** The scope that the token lacks. */
  scope?: string
}

/** Makes an `options_invalid` in the format of the WebAssembly module. */
export function refuseOption(option: string, problem: string, cause?: unknown): VerifyError {
  return refuse({ code: 'options_invalid', message: `option \`${option}\` ${problem}`, reason: option }, cause)
}

/** Makes a `jwks_unavailable`. */
export function refuseForWantOfKeys(message: string, cause?: unknown): VerifyError {
  return refuse({ code: 'jwks_unavailable', message }, cause)
}

/** Makes an error with all fields. */
export function refuse({ scope, ...fields }: Refusal, cause?: unknown): VerifyError {
  const { code, message } = fields
  return new VerifyError({
    stage: STAGE_OF[code],
    retryable: /_unavailable|_yet_/.test(code),
    wwwAuthenticate: challengeOf(code, message, scope),
    ...fields,
  }, cause)
}

/**
 * Returns the challenge of RFC 6750 §3, like the Rust crate's `www_authenticate`: without the advice, and with at most 200 characters, because proxies limit the headers of a response.
 */
function challengeOf(code: ErrorCode, message: string, scope: string | undefined): string {
  if (/^options_|^jwks_|^status_/.test(code)) return 'Bearer'
  const error = scope === undefined ? 'invalid_token' : 'insufficient_scope'
  const challenge = `Bearer error="${error}", error_description="${quotable(faultOf(message)).slice(0, 100)}"`
  const withScope = `${challenge}, scope="${quotable(scope ?? '')}"`
  return scope === undefined || withScope.length > 200 ? challenge : withScope
}

/** Returns a message without the advice and the expected values, which follow after punctuation. */
export function faultOf(message: string): string {
  return message.split(/[:;,] /, 1)[0] ?? ''
}

/** RFC 6750 §3 allows no `"`, no `\` and nothing outside printable ASCII between the quotes. */
function quotable(text: string): string {
  return text.replaceAll('"', "'").replace(/[^ -[\]-~]/gu, '?')
}
