/** A JSON Web Key (RFC 7517 §4). Only RSA public keys for RS256 are used. Others may be in the set. */
export interface Jwk {
  /** The key type. Only `RSA` keys are used. */
  readonly kty: string
  /** The key's name, which tokens have in their header. */
  readonly kid?: string
  /** The use of the key: `sig`, or absent. Other keys are not used. */
  readonly use?: string
  /** The operations of the key: `verify` is among them, or the member is absent. Other keys are not used. */
  readonly key_ops?: readonly string[]
  /** The algorithm of the key: `RS256`, or absent. Other keys are not used. */
  readonly alg?: string
  /** The modulus of an RSA key, 2048 to 8192 bits: its big-endian bytes in base64url (RFC 7518 §6.3.1.1). */
  readonly n?: string
  /** The exponent of an RSA key, odd, from 3 up to 2³³, in the same format. */
  readonly e?: string
  /** Any other member. They are ignored, except that a key with a private member is refused. */
  readonly [member: string]: unknown
}

/** A JSON Web Key Set (RFC 7517 §5), at most 64 keys. */
export interface JwkSet {
  /** The keys. No two should have the same `kid`. */
  readonly keys: readonly Jwk[]
  /** Any other member, ignored. */
  readonly [member: string]: unknown
}

/** The header of a verified token (RFC 7515 §4). */
export interface JwtHeader {
  /** The algorithm of the signature. No other is accepted. */
  readonly alg: 'RS256'
  /** The type of the token, as required by {@link VerifierOptions.type}. */
  readonly typ?: string
  /** The name of the key that signed the token. */
  readonly kid?: string
  /** Any other header parameter, unchecked. */
  readonly [parameter: string]: unknown
}

/**
 * The claims of a verified token. `iss`, `aud` and `exp` were required and checked; the other registered claims
 * (RFC 7519 §4.1, RFC 9068 §2.2) have the right type if they are present.
 */
export interface JwtPayload {
  /** The issuer: one of {@link VerifierOptions.issuer}. */
  readonly iss: string
  /** The audience. It holds one of {@link VerifierOptions.audience}. */
  readonly aud: string | readonly string[]
  /** The time at which the token expires: seconds since the UNIX epoch; a fraction is allowed. */
  readonly exp: number
  /** The time from which the token is valid: seconds since the UNIX epoch. */
  readonly nbf?: number
  /** The time at which the token was issued: seconds since the UNIX epoch. */
  readonly iat?: number
  /** The subject of the token, unique for its issuer. */
  readonly sub?: string
  /** The token's ID. */
  readonly jti?: string
  /** The client that the token was issued to. */
  readonly client_id?: string
  /** Scopes, separated by spaces (RFC 8693 §4.2). */
  readonly scope?: string
  /** Any other claim, unchecked. */
  readonly [claim: string]: unknown
}

/**
 * A token that passed every check, frozen. Both members are deeply frozen plain objects. Tokens with the same header may
 * share one `header`. With {@link VerifierOptions.cache}, calls with the same token may return the same object.
 */
export interface Verified<Claims extends object = {}> {
  /** The header. */
  readonly header: JwtHeader
  /** The registered claims, and `Claims`, whose types are not checked. */
  readonly payload: JwtPayload & Readonly<Claims>
}

/** The type of {@link VerifierOptions.jwksOptions}, which matters only if `jwks` is a URL. */
export interface JwksOptions {
  /** The timeout of a fetch, body included: milliseconds, 1…60000. Default 5000. */
  timeoutMs?: number | undefined
  /** The shortest lifetime of a fetched set: seconds, 1…86400. Default 30. */
  minTtl?: number | undefined
  /** The longest lifetime, whatever `Cache-Control` says: seconds, 1…86400, at least `minTtl`. Default 86400. */
  maxTtl?: number | undefined
  /**
   * The time after the lifetime for which the keys stay in use if the endpoint fails: seconds, 0…604800. Default 86400.
   * After that there are no keys until a fetch succeeds.
   */
  staleIfError?: number | undefined
  /**
   * The least time between two fetches for tokens whose `kid` is unknown: seconds, 1…3600. Default 10. After two fetches
   * without the `kid`, the next one for it comes after 30 s at the earliest.
   */
  cooldown?: number | undefined
  /** Keeps fetched sets for other processes and for the next start. Default: none. */
  store?: KeyStore | undefined
}

/**
 * A store of texts by key: a `KVNamespace` of Workers, or a few lines around a file, Redis or the Cache API. The key is a
 * URL, one for each `jwks`.
 *
 * The verifier reads the store if no keys are loaded, before the network, and writes it after each fetch. It checks a stored
 * text like a response. It ignores a store that fails or takes longer than `timeoutMs`. **Anyone who can write to the store
 * can add keys** and sign tokens with them.
 */
export interface KeyStore {
  /** Returns the text under the key; `null` or `undefined` if there is none. */
  get(key: string): Promise<string | null | undefined>
  /** Stores a text under the key and replaces the text that was there. */
  put(key: string, value: string): Promise<unknown>
}

/** The options of {@link createVerifier}. An unknown name or a wrong value is refused with `options_invalid`. */
export interface VerifierOptions {
  /** The issuers to accept: `iss` must equal one of them exactly. */
  issuer: string | readonly string[]
  /** The names of this service: `aud` must hold at least one of them, compared exactly. */
  audience: string | readonly string[]
  /**
   * The keys. The first `verify` fetches a URL (https, or http to a loopback host) and refuses redirects. With a JWK Set
   * object nothing is ever fetched.
   */
  jwks: string | URL | JwkSet
  /**
   * The `typ` that the header must have, in any case, with or without a leading `application/`. Default `'at+jwt'`
   * (RFC 9068). `null` accepts any `typ` and none, and so accepts ID tokens as access tokens.
   */
  type?: string | null | undefined
  /** The tolerance for clock differences, on `exp`, `nbf` and `iat`: seconds, 0…300. Default 0. */
  clockTolerance?: number | undefined
  /** The longest time since `iat`, in seconds. It makes `iat` a required claim. Default: none. */
  maxTokenAge?: number | undefined
  /** Claims that must be present besides `iss`, `aud` and `exp`. */
  requiredClaims?: readonly string[] | undefined
  /** Scopes that must each be in the token's `scope`. A string may hold several, separated by spaces. */
  scope?: string | readonly string[] | undefined
  /** The longest token to read, in bytes. Default 16384. */
  maxTokenBytes?: number | undefined
  /**
   * The number of verified tokens to remember: a whole number, 0…1000000, an odd one rounded up. Default 0: none. A
   * remembered text is not verified again. Each call still checks its times. Any change of the key set empties the
   * cache. Refusals are not remembered.
   *
   * An entry takes about twice the memory of the token's text (1.4 KB for 740 bytes). It is dropped when it is found to be
   * expired, or when the cache is full and it was not used recently.
   */
  cache?: number | undefined
  /** The clock: seconds since the UNIX epoch, for token times and for the age of fetched keys. Default: the system's. */
  now?: (() => number) | undefined
  /** The `fetch` to use. Default: the global one, looked up at each use. */
  fetch?: typeof globalThis.fetch | undefined
  /** The settings for a key set from a URL. */
  jwksOptions?: JwksOptions | undefined
}

/** Verifies access tokens by one policy and one key set. Made by `createVerifier`. Share one for the whole process. */
export interface Verifier {
  /**
   * Verifies a token. Fetches keys first if they can change the result: none are loaded, their lifetime is over, or the
   * set lacks the token's `kid`. A malformed token never causes a fetch. Concurrent calls share one fetch.
   *
   * After 80 % of the keys' lifetime they are renewed in the background. If the endpoint fails, the keys stay in use for
   * `staleIfError`, and the endpoint is retried after 1 s, 2 s, 4 s, and so on up to every 60 s.
   *
   * Not checked: revocation, and a binding of the token to its sender.
   *
   * @typeParam Claims - Types for the token's own claims. They are not checked.
   * @param token - The token in compact form, without `Bearer `.
   * @throws {@link VerifyError} - Any code but `options_invalid`; that one only if `now` returns no time.
   */
  verify<Claims extends object = {}>(token: string): Promise<Verified<Claims>>
  /**
   * Verifies a token synchronously, with the keys in use. Never does I/O: if `jwks` is a URL, call `verify` or `refresh`
   * from time to time.
   *
   * @throws {@link VerifyError} - As `verify`; `jwks_unavailable` if no keys are loaded, or if they were not renewed before
   * the end of `staleIfError`.
   */
  verifySync<Claims extends object = {}>(token: string): Verified<Claims>
  /**
   * Returns the key set in use: a deeply frozen copy, which another verifier takes as its `jwks`.
   *
   * @throws {@link VerifyError} - `jwks_unavailable` if no keys are loaded, or if they were not renewed before the end of
   * `staleIfError`.
   */
  keys(): JwkSet
  /**
   * Fetches the key set, or waits for the fetch in flight, and then for the `store`. If `jwks` is an object, it resolves at
   * once.
   *
   * In Cloudflare Workers, `ctx.waitUntil(verifier.refresh())` lets the fetch outlive the request.
   *
   * @throws {@link VerifyError} - `jwks_unavailable` if the fetch failed, `jwks_invalid` if the response is no JWK Set. The
   * keys in use stay.
   */
  refresh(): Promise<void>
}
