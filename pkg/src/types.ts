/** A JSON Web Key (RFC 7517 §4). Only RSA public keys for RS256 are used; others may stand in the set. */
export interface Jwk {
  /** The key type. Used are those of `RSA`. */
  readonly kty: string
  /** The key's name, which tokens give in their header. */
  readonly kid?: string
  /** What the key is for: used are those for `sig`, and those that do not say. */
  readonly use?: string
  /** The operations that the key is for: used are those with `verify`, and those that do not say. */
  readonly key_ops?: readonly string[]
  /** The algorithm that the key is for: used are those for `RS256`, and those that do not say. */
  readonly alg?: string
  /** The modulus of an RSA key, 2048 to 8192 bits: base64url of its big-endian bytes (RFC 7518 §6.3.1.1). */
  readonly n?: string
  /** The exponent of an RSA key, odd, from 3 up to 2³³: in the same form. */
  readonly e?: string
  /** Any other member; none is looked at but to tell that a key is private. */
  readonly [member: string]: unknown
}

/** A JSON Web Key Set (RFC 7517 §5), at most 64 keys. */
export interface JwkSet {
  /** The keys, of which no two have the same `kid`. */
  readonly keys: readonly Jwk[]
  /** Any other member; none is looked at. */
  readonly [member: string]: unknown
}

/** The header of a verified token (RFC 7515 §4). */
export interface JwtHeader {
  /** The algorithm of the signature. There is no other. */
  readonly alg: 'RS256'
  /** What kind of token it is: as {@link VerifierOptions.type} asks for. */
  readonly typ?: string
  /** The name of the key that the token was signed with. */
  readonly kid?: string
  /** Any other header parameter, unchecked. */
  readonly [parameter: string]: unknown
}

/**
 * The claims of a verified token. `iss`, `aud` and `exp` were required and checked; the other registered claims
 * (RFC 7519 §4.1, RFC 9068 §2.2) have the right type where they are present.
 */
export interface JwtPayload {
  /** Who issued the token: one of {@link VerifierOptions.issuer}. */
  readonly iss: string
  /** Whom the token is meant for: one of {@link VerifierOptions.audience} is in it. */
  readonly aud: string | readonly string[]
  /** When the token expires: seconds since the UNIX epoch; a fraction is allowed. */
  readonly exp: number
  /** When the token begins to be valid: seconds since the UNIX epoch. */
  readonly nbf?: number
  /** When the token was issued: seconds since the UNIX epoch. */
  readonly iat?: number
  /** Whom the token is about: unique where it comes from one issuer. */
  readonly sub?: string
  /** The token's own name. */
  readonly jti?: string
  /** The client that the token was issued to. */
  readonly client_id?: string
  /** Scopes, separated by spaces (RFC 8693 §4.2). */
  readonly scope?: string
  /** Any other claim, unchecked. */
  readonly [claim: string]: unknown
}

/**
 * A token that passed every check, frozen. Both members are deeply frozen plain objects. Tokens whose headers are alike
 * may share one `header`; with {@link VerifierOptions.cache}, calls with the same token may answer one and the same object.
 */
export interface Verified<Claims extends object = {}> {
  /** The header. */
  readonly header: JwtHeader
  /** The registered claims, and `Claims`: members that the caller vouches for; their types are not checked. */
  readonly payload: JwtPayload & Readonly<Claims>
}

/** What {@link VerifierOptions.jwksOptions} takes. It matters only where `jwks` is a URL. */
export interface JwksOptions {
  /** How long one fetch may take, body included: milliseconds, 1…60000. Default 5000. */
  timeoutMs?: number | undefined
  /** The shortest time that a fetched set is used before it is fetched again: seconds, 1…86400. Default 30. */
  minTtl?: number | undefined
  /** The longest such time, whatever `Cache-Control` says: seconds, 1…86400, not under `minTtl`. Default 86400. */
  maxTtl?: number | undefined
  /**
   * How long past that time the keys go on being used while the endpoint fails: seconds, 0…604800. Default 86400. Then
   * there are no keys, until a fetch brings some.
   */
  staleIfError?: number | undefined
  /**
   * The least time between two fetches for tokens whose `kid` is unknown: seconds, 1…3600. Default 10. A `kid` that is
   * not found the second time either is looked for every 30 s at most.
   */
  cooldown?: number | undefined
  /** Where fetched sets are kept for other processes, and for the next start of this one. Default: nowhere. */
  store?: KeyStore | undefined
}

/**
 * Keeps texts by key, such as a `KVNamespace` of Workers as it is, or a few lines over a file, Redis or the Cache API.
 * The key is a URL, one for each `jwks`.
 *
 * It is read where no keys are loaded, before the network, and written after each fetch. What it returns is checked like
 * a response. If it fails or takes longer than `timeoutMs`, it is done without. Whoever can write to it can bring in
 * keys, and with them sign tokens.
 */
export interface KeyStore {
  /** The text that was put under the key; `null` or `undefined` where there is none. */
  get(key: string): Promise<string | null | undefined>
  /** Keeps a text under the key, in the place of what was there. */
  put(key: string, value: string): Promise<unknown>
}

/** What {@link createVerifier} takes. An unknown name or a wrong value is refused with `options_invalid`. */
export interface VerifierOptions {
  /** The issuers to accept: `iss` must equal one of them, to the character. */
  issuer: string | readonly string[]
  /** The names of this service: `aud` must hold one of them, to the character. */
  audience: string | readonly string[]
  /**
   * The keys. A URL (https, or http to a loopback host) is fetched by the first `verify`, not before; redirects are
   * refused. With a JWK Set object nothing is ever fetched.
   */
  jwks: string | URL | JwkSet
  /**
   * The `typ` that the header must have, compared without regard to case and to a leading `application/`.
   * Default `'at+jwt'` (RFC 9068); `null` accepts any `typ` and none, and with it ID tokens as access tokens.
   */
  type?: string | null | undefined
  /** Allowance for clocks that differ, on `exp`, `nbf`, `iat`: seconds, 0…300. Default 0. */
  clockTolerance?: number | undefined
  /** The longest time since `iat`, in seconds. `iat` becomes a required claim with it. Default: none. */
  maxTokenAge?: number | undefined
  /** Claims that must be present besides `iss`, `aud` and `exp`. */
  requiredClaims?: readonly string[] | undefined
  /** Scopes that must each be in the token's `scope`. A string may hold several, separated by spaces. */
  scope?: string | readonly string[] | undefined
  /** The longest token to look at, in bytes. Default 16384. */
  maxTokenBytes?: number | undefined
  /**
   * How many tokens that passed to remember: a whole number, 0…1000000, an odd one rounded up. Default 0: none. The
   * same text is then accepted without another look at it, but at its times, which each call checks; the clock is read
   * each time, and any change to the key set empties the cache. What was refused is never remembered.
   *
   * An entry takes about twice the memory of the token's text (1.4 KB for 740 bytes). It goes when it is found to be
   * expired; where there are too many, those go that were not used for long.
   */
  cache?: number | undefined
  /** The clock, in seconds since the UNIX epoch, for token times and for the age of fetched keys. Default: the system's. */
  now?: (() => number) | undefined
  /** The `fetch` to use. Default: the global one, looked up at each use. */
  fetch?: typeof globalThis.fetch | undefined
  /** How a key set is fetched and how long it is kept. */
  jwksOptions?: JwksOptions | undefined
}

/** Checks access tokens against one policy and one key set. Made by `createVerifier`; safe to share and to keep. */
export interface Verifier {
  /**
   * Verifies a token, and fetches keys first where that can change the verdict: none are loaded, their time is past, or
   * the token names a `kid` that the set lacks. A malformed token never causes a fetch. Concurrent calls share one fetch.
   *
   * Past 80 % of the keys' time a fetch runs in the background. While fetches fail, the keys in use go on being used for
   * `staleIfError`, and the endpoint is asked again after 1 s, then 2 s, and so on up to every 60 s.
   *
   * Not checked: whether the token was revoked, and whether it is bound to its sender.
   *
   * @typeParam Claims - Types for the token's own claims. They are an assertion of the caller, not checked.
   * @param token - The token in compact form, without `Bearer `.
   * @throws {@link VerifyError} - Any code but `options_invalid`; that one too where `now` returns no time.
   */
  verify<Claims extends object = {}>(token: string): Promise<Verified<Claims>>
  /**
   * The same, at once, with the keys in use. Never does I/O: with `jwks` as a URL, call `verify` or `refresh` from time
   * to time.
   *
   * @throws {@link VerifyError} - As `verify`; `jwks_unavailable` where no keys are loaded, or those that are have not
   * been renewed until the end of `staleIfError`.
   */
  verifySync<Claims extends object = {}>(token: string): Verified<Claims>
  /**
   * The key set in use: a deeply frozen copy, to hand to another verifier as its `jwks`.
   *
   * @throws {@link VerifyError} - `jwks_unavailable` where none is loaded, or the one that is has become too old.
   */
  keys(): JwkSet
  /**
   * Fetches the key set now, or waits for the fetch under way, and until the `store` has it. With `jwks` as an object it
   * resolves at once.
   *
   * In Cloudflare Workers, a fetch that should outlive the request wants `ctx.waitUntil(verifier.refresh())`.
   *
   * @throws {@link VerifyError} - `jwks_unavailable` where the fetch failed, `jwks_invalid` where it brought no JWK Set;
   * the keys in use stay.
   */
  refresh(): Promise<void>
}
