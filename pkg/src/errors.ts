/** The step of the verification that refused, in the order in which the steps run. */
export type Stage = 'options' | 'parse' | 'header' | 'key' | 'signature' | 'claims' | 'status'

/** Each code and the stage that it belongs to. */
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
 * | options | `options_invalid` | an option is unknown, missing, of the wrong type or out of range |
 * | parse | `token_too_large` | longer than `maxTokenBytes` |
 * | parse | `token_malformed` | not a JWS in compact form: not a string, not three parts, not strict base64url, not strict JSON |
 * | header | `header_invalid` | a header parameter is missing or of the wrong type |
 * | header | `algorithm_not_allowed` | `alg` is not RS256 |
 * | header | `type_mismatch` | `typ` is not the one asked for |
 * | header | `critical_unsupported` | `crit` (or `b64`) asks for an extension; none is understood |
 * | key | `key_not_found` | no key of the set fits the token |
 * | key | `key_rejected` | the one key that fits is not fit for use (too short, private, another `alg`…) |
 * | key | `jwks_unavailable` | no keys are loaded, or they could not be fetched; retryable |
 * | key | `jwks_invalid` | the key set is not a JWK Set, or it names one `kid` twice |
 * | signature | `signature_invalid` | the signature does not fit the token and the key |
 * | claims | `claim_missing` | a required claim is absent; see `claim` |
 * | claims | `claim_invalid` | a claim has the wrong type; see `claim` |
 * | claims | `issuer_mismatch` | `iss` is none of the issuers asked for |
 * | claims | `audience_mismatch` | `aud` has none of the audiences asked for |
 * | claims | `token_expired` | `exp` is now or in the past |
 * | claims | `token_not_yet_valid` | `nbf` or `iat` is in the future; retryable |
 * | claims | `token_too_old` | `iat` is longer ago than `maxTokenAge` |
 * | claims | `scope_insufficient` | a scope asked for is not in the token |
 * | status | `token_revoked` | reserved: this version does not check revocation |
 * | status | `status_unavailable` | reserved: this version does not check revocation |
 */
export type ErrorCode = keyof typeof STAGE_OF

/** The members of a {@link VerifyError}. */
export interface VerifyErrorFields {
  /** What was wrong. */
  code: ErrorCode
  /** The step that refused. */
  stage: Stage
  /** One line that says what was wrong and what was expected. */
  message: string
  /** The claim or header parameter that the code is about. */
  claim?: string
  /** Whether the same call can succeed later. */
  retryable: boolean
  /** The value for a `WWW-Authenticate` response header. */
  wwwAuthenticate: string
  /** The token's claims, where the signature was good. */
  claims?: Readonly<Record<string, unknown>>
}

/**
 * Every refusal of this package is one of these. `message` is one line that says what was wrong and what was expected;
 * it holds no part of the token, of its signature or of a key.
 */
export class VerifyError extends Error {
  /** What was wrong, as a stable string. */
  readonly code: ErrorCode
  /** The step that refused. A token that is bad in two ways reports the earlier one. */
  readonly stage: Stage
  /** The claim (or header parameter) that the code is about, where it is about one. */
  declare readonly claim?: string
  /** Whether the same call can succeed later: `jwks_unavailable`, `status_unavailable` and `token_not_yet_valid` alone. */
  readonly retryable: boolean
  /** The value for a `WWW-Authenticate` response header (RFC 6750 §3). */
  readonly wwwAuthenticate: string
  /** The token's claims, frozen. Set only where the signature was good: at the stages `claims` and `status`. */
  declare readonly claims?: Readonly<Record<string, unknown>>

  /** Makes one; what a test double of a verifier needs. */
  constructor(fields: VerifyErrorFields, cause?: unknown) {
    super(fields.message, cause === undefined ? undefined : { cause })
    this.name = 'VerifyError'
    this.code = fields.code
    this.stage = fields.stage
    if (fields.claim !== undefined) this.claim = fields.claim
    this.retryable = fields.retryable
    this.wwwAuthenticate = fields.wwwAuthenticate
    if (fields.claims !== undefined) this.claims = fields.claims
  }
}

/** `options_invalid`, in the words of the WebAssembly module's own. */
export function refuseOption(option: string, problem: string, cause?: unknown): VerifyError {
  return refuse('options_invalid', `option \`${option}\` ${problem}`, 'Bearer', cause)
}

/** `jwks_unavailable`. */
export function refuseForWantOfKeys(message: string, cause?: unknown): VerifyError {
  return refuse('jwks_unavailable', message, 'Bearer', cause)
}

/** A refusal of what the WebAssembly module need not see. The message is printable ASCII without quotes (RFC 6750 §3). */
export function refuseToken(code: 'token_malformed' | 'token_too_large', message: string): VerifyError {
  return refuse(code, message, `Bearer error="invalid_token", error_description="${message}"`)
}

function refuse(code: ErrorCode, message: string, wwwAuthenticate: string, cause?: unknown): VerifyError {
  const retryable = code === 'jwks_unavailable'
  return new VerifyError({ code, stage: STAGE_OF[code], message, retryable, wwwAuthenticate }, cause)
}
