import type { VerifyError } from './errors.js'

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
  /** Any other member. They are ignored, except that a key with a private member is refused. `null` counts as absent. */
  readonly [member: string]: unknown
}

/** A JSON Web Key Set (RFC 7517 §5), at most 1000 keys. */
export interface JwkSet {
  /** The keys. No two that are usable should have the same `kid`. */
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
 * The claims of a verified token. `iss`, `exp` and, unless the option `audience` is `null`, `aud` were required and checked.
 * The other registered claims of RFC 7519 §4.1 have the right type if they are present.
 */
export interface JwtPayload {
  /** The issuer: one of {@link VerifierOptions.issuer}. */
  readonly iss: string
  /** The audience. It holds one of {@link VerifierOptions.audience}; if that is `null`, the claim may be missing. */
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
  /** Any other claim, unchecked: issuers differ in the type of `scope`, for example. */
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

/** The type of {@link VerifierOptions.jwksOptions}, which matters only if keys are fetched. */
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
  /**
   * True admits `http:` URLs of any host, for a private network (`http://keycloak:8080`). Anyone on the way can then replace
   * the keys. Default false: `http:` only to a loopback host.
   */
  allowHttp?: boolean | undefined
  /**
   * Is called with each failed fetch, in the background too. Without it, a broken endpoint is noticed only when the old keys
   * run out. An exception that it throws is ignored.
   */
  onError?: ((error: VerifyError) => unknown) | undefined
  /**
   * `waitUntil` of `cloudflare:workers`, or of another runtime that ends the fetches of a request with the request. It gets a
   * promise for each fetch and the write to the store after it, so that keys and lists that are renewed in the background arrive. What
   * it throws is ignored.
   */
  waitUntil?: ((promise: Promise<unknown>) => unknown) | undefined
}

/**
 * A store of texts by key: a `KVNamespace` of Workers, or a few lines around a file, Redis or the Cache API. The key is a
 * URL, one for each key set, and one for the issuer's metadata if `jwks` is left out.
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

/** The type of {@link VerifierOptions.status}. Only `statusList` of `countersign/status` makes one. */
export type StatusCheck = (verifier: never, settings: never) => never

/** A value of {@link VerifierOptions.claims}. */
export type ClaimValue = string | number | boolean

/** The options of {@link createVerifier}. An unknown name or a wrong value is refused with `options_invalid`. */
export interface VerifierOptions {
  /**
   * The issuers to accept: `iss` must equal one of them exactly.
   *
   * `{name}` stands for the token's own claim of that name, a non-empty string of unreserved characters (RFC 3986 §2.3):
   * `https://login.example/{tid}/v2.0`. List the values to accept in `claims`.
   */
  issuer: string | readonly string[]
  /**
   * The names of this service: `aud` must hold at least one of them, compared exactly. `null` accepts a token without `aud`
   * or with any, and is refused unless `claims` names at least one claim, which then tells this service's tokens apart.
   */
  audience: string | readonly string[] | null
  /**
   * The keys. The first `verify` fetches a URL (https, or http to a loopback host) and refuses redirects. With a JWK Set
   * object nothing is ever fetched.
   *
   * Left out, the URL is the `jwks_uri` in the issuer's metadata (RFC 8414, OpenID Connect Discovery). The metadata must name
   * exactly this issuer, and is cached like a key set. This needs one `issuer`, a URL without `{name}`.
   */
  jwks?: string | URL | JwkSet | undefined
  /**
   * The `typ` that the header must have, or several, in any case, with or without a leading `application/`. Default
   * `'at+jwt'` (RFC 9068). `null` accepts any `typ` and none, and so accepts ID tokens as access tokens, unless `audience`
   * or `claims` tells them apart.
   */
  type?: string | readonly string[] | null | undefined
  /**
   * Claims with a fixed value: each must be in the token and equal the value, or one of the values, in type too. If the
   * token's claim is an array, one element must be equal.
   */
  claims?: Readonly<Record<string, ClaimValue | readonly ClaimValue[]>> | undefined
  /** The tolerance for clock differences, on `exp`, `nbf` and `iat`: seconds, 0…300. Default 0. */
  clockTolerance?: number | undefined
  /** The longest time since `iat`, in seconds. It makes `iat` a required claim. Default: none. */
  maxTokenAge?: number | undefined
  /** Claims that must be present besides `iss`, `aud` and `exp`. */
  requiredClaims?: readonly string[] | undefined
  /** Scopes that must each be in the token. A string may hold several, separated by spaces. */
  scope?: string | readonly string[] | undefined
  /**
   * The claim that holds the scopes: a string with spaces, or an array of strings. Default `'scope'`; others are `'scp'`,
   * `'permissions'` and `'roles'`. It is not looked at unless a scope is asked for.
   */
  scopeClaim?: string | undefined
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
  /** The settings for keys that are fetched. */
  jwksOptions?: JwksOptions | undefined
  /** Revocation: `statusList()` of `countersign/status`. Default: not checked. */
  status?: StatusCheck | undefined
}

/**
 * Verifies access tokens by one policy and one key set, or by the policy of the token's issuer. Made by `createVerifier`.
 * Share one for the whole process.
 */
export interface Verifier {
  /**
   * Verifies a token. Fetches keys first if they can change the result: none are loaded, their lifetime is over, or the
   * set lacks the token's `kid`. A malformed token never causes a fetch. Concurrent calls share one fetch.
   *
   * After 80 to 90 % of the keys' lifetime, by chance, they are renewed in the background. If the endpoint fails, the keys stay
   * in use for `staleIfError`, and the endpoint is retried after 1 s, 2 s, 4 s, and so on up to every 60 s.
   *
   * Not checked: a binding of the token to its sender, and, without the option `status`, revocation. With it, `verify` also
   * fetches the token's status list if that is due.
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
   *
   * @param issuer - The issuer whose policy's keys to return. Required if there are several policies.
   */
  keys(issuer?: string): JwkSet
  /**
   * Fetches the key set of each policy, or waits for the fetch in flight, and then for the `store`. If `jwks` is an object, it
   * resolves at once.
   *
   * With the option `status`, it also fetches the status lists that tokens named since the last call.
   *
   * In Cloudflare Workers, `ctx.waitUntil(verifier.refresh())` lets the fetch outlive the request.
   *
   * @throws {@link VerifyError} - `jwks_unavailable` if the fetch failed or brought no usable key, `jwks_invalid` if the
   * response is no JWK Set, `status_unavailable` if a status list cannot be used. The keys in use stay, unless no key of the new
   * set is usable.
   */
  refresh(): Promise<void>
}
