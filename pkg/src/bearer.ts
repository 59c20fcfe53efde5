import { faultOf, refuse, refuseOption, type VerifyError } from './errors.js'
import { readOnly } from './options.js'
import type { PolicyVerifier } from './policies.js'
import type { Verified, Verifier } from './types.js'

/** The options of the guards. */
export interface GuardOptions {
  /**
   * Scopes that must each be in the token, besides those that the verifier requires: in the claim that the verifier's
   * `scopeClaim` names. A string may hold several, separated by spaces.
   */
  scope?: string | readonly string[] | undefined
}

/** A verifier, or a promise of one, for modules that cannot await at the top. */
export type AnyVerifier = Pick<Verifier, 'verify'> | Promise<Pick<Verifier, 'verify'>>

/** The parts of a request that may carry a token (RFC 6750 §2). */
export interface Carriers {
  /** The `Authorization` header's value. Several headers are joined by commas (RFC 9110 §5.3). */
  authorization: string | null | undefined
  /** The URL, with or without its origin. */
  url: string
  /** Returns true if the body is a form that holds a token. Called only after the token was verified: it may take time. */
  hasTokenInForm(): boolean | Promise<boolean>
}

/** The response to a refused request. */
export interface Refusal {
  readonly status: 400 | 401 | 403 | 503
  readonly headers: Readonly<Record<string, string>>
  /** JSON text. */
  readonly body: string
  /** The verifier's error, if the request had a token. */
  readonly error?: VerifyError
}

/**
 * Verifies the token of a request by the rules for resource servers (RFC 6750).
 *
 * Throws every error that is no fault of the request: `options_invalid`, `jwks_invalid`, and any other than a
 * {@link VerifyError}.
 */
export async function admit(
  { authorization, url, hasTokenInForm }: Carriers,
  verifier: AnyVerifier,
  scopes: readonly string[],
): Promise<{ verified: Verified; token: string } | { refusal: Refusal }> {
  const credentials = authorization ?? ''
  if (!NAMES_BEARER.test(credentials)) return { refusal: WITHOUT_TOKEN }
  const token = ONE_TOKEN.exec(credentials)?.[1]
  if (token === undefined) return { refusal: badRequest('expected one token in one Authorization header, after "Bearer "') }
  if (hasTokenInQuery(url)) return { refusal: SENT_TWICE }
  try {
    const given = requireVerifier(await verifier)
    const verified = await given.verify(token)
    const inForm = hasTokenInForm()
    if (inForm && (await inForm)) return { refusal: SENT_TWICE }
    requireScopes(verified, scopes, given.scopeClaimFor?.(verified.payload) ?? 'scope')
    return { verified, token }
  } catch (error) {
    return { refusal: refusalFor(error) }
  }
}

/**
 * Returns the scopes that the options require. Refuses values that would require none by mistake.
 *
 * @throws {@link VerifyError} - `options_invalid`
 */
export function readScopes(options: unknown): readonly string[] {
  const scope = readOnly(options, 'scope')
  if (scope === undefined) return []
  const texts: unknown[] = Array.isArray(scope) ? scope : [scope]
  const scopes = texts.flatMap((text) => (typeof text === 'string' ? text.split(' ') : ''))
  if (scopes.length === 0 || !scopes.every((text) => /^[!#-[\]-~]+$/.test(text))) {
    throw refuseOption('scope', 'is not made of scope tokens (RFC 6749 section 3.3); expected a value such as "read write"')
  }
  return scopes
}

/** Returns true for the content type of forms that may hold a token (RFC 6750 §2.2). */
export function isForm(contentType: string | null | undefined): boolean {
  return /^\s*application\/x-www-form-urlencoded\s*(?:;|$)/i.test(contentType ?? '')
}

/** The name of a token in a query and in a form. */
export const PARAMETER = 'access_token'

/** Matches if one of the credentials has this scheme. Other schemes are left to the service. */
const NAMES_BEARER = /(?:^|,)[ \t]*Bearer(?:[ \t,]|$)/i

/** Matches one `b64token` (RFC 6750 §2.1) with nothing after it. */
const ONE_TOKEN = /^Bearer +([\w.~+/-]+=*)$/i

/** The `Retry-After` of a 503: seconds. */
const RETRY_AFTER = '10'

const JSON_HEADERS = { 'content-type': 'application/json', 'cache-control': 'no-store' }

/** The challenge for a request without a token names no error (RFC 6750 §3.1). */
const WITHOUT_TOKEN = refusal(401, 'unauthorized', 'expected an access token: "Authorization: Bearer …"', {
  'www-authenticate': 'Bearer',
})

/** RFC 6750 §2: only one method for each request. */
const SENT_TWICE = badRequest('expected one access token, in the Authorization header alone')

function badRequest(description: string): Refusal {
  const quotable = description.replaceAll('"', "'")
  return refusal(400, 'invalid_request', description, {
    'www-authenticate': `Bearer error="invalid_request", error_description="${quotable}"`,
  })
}

function refusalFor(error: unknown): Refusal {
  if (!isVerifyError(error)) throw error
  const { code, message, wwwAuthenticate } = error
  const challenge = { 'www-authenticate': wwwAuthenticate }
  switch (code) {
    case 'options_invalid':
    case 'jwks_invalid':
      throw error
    case 'jwks_unavailable':
    case 'status_unavailable':
      // The message names internal hosts, which callers need not know.
      return refusal(503, 'temporarily_unavailable', 'tokens cannot be checked at the moment; try again later',
        { 'retry-after': RETRY_AFTER }, error)
    case 'scope_insufficient':
      return refusal(403, 'insufficient_scope', message, challenge, error)
    default:
      // The message may list the tenants or clients that the policy accepts.
      return refusal(401, 'invalid_token', faultOf(message), challenge, error)
  }
}

function refusal(
  status: Refusal['status'],
  error: string,
  description: string,
  headers: Record<string, string>,
  cause?: VerifyError,
): Refusal {
  const body = JSON.stringify({ error, error_description: description })
  return { status, headers: { ...JSON_HEADERS, ...headers }, body, ...(cause && { error: cause }) }
}

/** Checks the name, because bundlers and test runners can load the class twice, and `instanceof` knows one copy. */
function isVerifyError(error: unknown): error is VerifyError {
  return error instanceof Error && error.name === 'VerifyError'
}

/** Test doubles have no `scopeClaimFor`. */
type Given = Pick<Verifier, 'verify'> & Partial<Pick<PolicyVerifier, 'scopeClaimFor'>>

function requireVerifier(given: Given): Given {
  if (typeof given?.verify === 'function') return given
  throw refuseOption('verifier', 'is not a verifier; expected the result of createVerifier, or its promise')
}

function requireScopes({ payload }: Verified, scopes: readonly string[], claim: string): void {
  const value = payload[claim]
  const granted: readonly unknown[] = typeof value === 'string' ? value.split(' ') : Array.isArray(value) ? value : []
  if (scopes.every((scope) => granted.includes(scope))) return
  const scope = scopes.join(' ')
  const message = `the claim ${claim} does not hold the required scope: expected all of "${scope}"; if the scopes are in another claim, set the option scopeClaim`
  throw refuse({ code: 'scope_insufficient', message, claim, claims: payload, scope })
}

function hasTokenInQuery(url: string): boolean {
  const start = url.indexOf('?')
  return start >= 0 && new URLSearchParams(url.slice(start)).has(PARAMETER)
}
