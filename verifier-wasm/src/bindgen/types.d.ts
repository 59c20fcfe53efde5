/** The options of a {@link Verifier}: those of the npm package that are about tokens. */
export interface PolicyOptions {
  /** The issuers to accept: `iss` must equal one of them exactly. `{name}` stands for the token's own claim of that name. */
  issuer: string | readonly string[]
  /** The names of this service: `aud` must hold one of them. `null` accepts any and none, and needs `claims`. */
  audience: string | readonly string[] | null
  /** The `typ` that the header must have, or several. Default `'at+jwt'`. `null` accepts any `typ` and none. */
  type?: string | readonly string[] | null | undefined
  /** Claims that must equal the value, or one of the values. */
  claims?: Readonly<Record<string, ClaimValue | readonly ClaimValue[]>> | undefined
  /** The tolerance for clock differences: seconds, 0…300. Default 0. */
  clockTolerance?: number | undefined
  /** The longest time since `iat`, in seconds. It makes `iat` a required claim. Default: none. */
  maxTokenAge?: number | undefined
  /** Claims that must be present besides `iss`, `aud` and `exp`. */
  requiredClaims?: readonly string[] | undefined
  /** Scopes that must each be in the token. A string may hold several, separated by spaces. */
  scope?: string | readonly string[] | undefined
  /** The claim that holds the scopes. Default `'scope'`. */
  scopeClaim?: string | undefined
  /** The longest token to read, in bytes. Default 16384. */
  maxTokenBytes?: number | undefined
}

/** A value of the option `claims`. */
export type ClaimValue = string | number | boolean

/** A JSON Web Key Set (RFC 7517 §5), at most 1000 keys. Only RSA public keys for RS256 are used. */
export interface JwkSet {
  readonly keys: readonly { readonly kty: string; readonly [member: string]: unknown }[]
  readonly [member: string]: unknown
}

/** A token that passed every check. The objects are the caller's own: nothing else refers to them. */
export interface Verified {
  /** The header. Parameters besides `alg`, `typ` and `kid` are not checked. */
  readonly header: {
    readonly alg: 'RS256'
    readonly typ?: string
    readonly kid?: string
    readonly [parameter: string]: unknown
  }
  /** The claims. Those without a type here are not checked. */
  readonly payload: {
    readonly iss: string
    readonly aud: string | readonly string[]
    readonly exp: number
    readonly nbf?: number
    readonly iat?: number
    readonly sub?: string
    readonly jti?: string
    readonly [claim: string]: unknown
  }
}

/** An error that a {@link Verifier} throws: an `Error` with the members of the npm package's `VerifyError`. */
export interface VerifyError extends Error {
  readonly name: 'VerifyError'
  /** The kind of the refusal, as a stable string. */
  readonly code:
    | 'options_invalid'
    | 'token_too_large'
    | 'token_malformed'
    | 'header_invalid'
    | 'algorithm_not_allowed'
    | 'type_mismatch'
    | 'critical_unsupported'
    | 'key_not_found'
    | 'key_rejected'
    | 'jwks_unavailable'
    | 'jwks_invalid'
    | 'signature_invalid'
    | 'claim_missing'
    | 'claim_invalid'
    | 'claim_mismatch'
    | 'issuer_mismatch'
    | 'audience_mismatch'
    | 'token_expired'
    | 'token_not_yet_valid'
    | 'token_too_old'
    | 'scope_insufficient'
    | 'token_revoked'
    | 'status_unavailable'
  /** The step that refused. A token with two faults reports the earlier step. */
  readonly stage: 'options' | 'parse' | 'header' | 'key' | 'signature' | 'claims' | 'status'
  /** The detail of the code: an option, a header parameter, or a fault of the key or the key set. */
  readonly reason?: string
  /** The claim that the code is about. */
  readonly claim?: string
  /** True if the same call can succeed later. */
  readonly retryable: boolean
  /** The value for a `WWW-Authenticate` response header (RFC 6750 §3). */
  readonly wwwAuthenticate: string
  /** The token's claims. Set only if the signature was valid. */
  readonly claims?: Readonly<Record<string, unknown>>
}
