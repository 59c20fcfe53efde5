/**
 * A guard for requests of the Fetch standard.
 *
 * @module countersign/guard
 */

import { admit, isForm, PARAMETER, readScopes, type AnyVerifier, type GuardOptions } from './bearer.js'
import type { VerifyError } from './errors.js'
import type { JwtPayload } from './types.js'

export type { AnyVerifier, GuardOptions } from './bearer.js'
export type { VerifyError } from './errors.js'

/** The `claims` of a request that may pass, or the `response` to one that may not. */
export type Guarded<Claims extends object = {}> =
  | {
      /** The verified token's claims. */
      readonly claims: JwtPayload & Readonly<Claims>
      /** Undefined: the request may pass. */
      readonly response?: undefined
      /** Undefined. */
      readonly error?: undefined
    }
  | {
      /** 400, 401, 403 or 503. */
      readonly response: Response
      /** The verifier's error, for the log, if the request had a token. It says more than the response. */
      readonly error?: VerifyError
      /** Undefined: the request may not pass. */
      readonly claims?: undefined
    }

/**
 * Verifies the access token of a request (RFC 6750) in frameworks that use the Fetch standard's `Request`: Workers, Deno,
 * Bun, Hono, Next.js.
 *
 * The token must be in the `Authorization` header, with the scheme `Bearer` in any case. Each `response` is JSON,
 * `{ error, error_description }`, with `Cache-Control: no-store`, and without the token. To a HEAD it has no body.
 *
 * | status | `error` | when |
 * |---|---|---|
 * | 401 | `unauthorized` | no token, or another scheme; the challenge is a bare `Bearer` |
 * | 400 | `invalid_request` | not one well-formed token: two, an empty one, or another in the query or in a form |
 * | 401 | `invalid_token` | the verifier refused the token |
 * | 403 | `insufficient_scope` | the token is valid, but lacks a scope |
 * | 503 | `temporarily_unavailable` | no keys or no status list are available; with `Retry-After` |
 *
 * After the token was verified, a form is searched for a second token: a copy of its first 64 KiB, if the body is unread.
 *
 * OPTIONS is guarded like every method. CORS preflights bring no token: answer them before the guard.
 *
 * @typeParam Claims - Types for the token's own claims. They are an assertion of the caller, not checked.
 * @throws {@link VerifyError} - `options_invalid` and `jwks_invalid`: faults of the service's setup. Let them pass: every
 * framework logs them and answers 500.
 */
export async function guard<Claims extends object = {}>(
  request: Request,
  verifier: AnyVerifier,
  options: GuardOptions = {},
): Promise<Guarded<Claims>> {
  const admitted = await admit(
    {
      authorization: request.headers.get('authorization'),
      url: request.url,
      hasTokenInForm() {
        return mayReadForm(request) && hasTokenInForm(request)
      },
    },
    verifier,
    readScopes(options),
  )
  if ('verified' in admitted) return { claims: admitted.verified.payload as JwtPayload & Readonly<Claims> }
  const { status, headers, body, error } = admitted.refusal
  const response = new Response(request.method === 'HEAD' ? null : body, { status, headers })
  return error === undefined ? { response } : { response, error }
}

/** The most of a form that is read. The copy stays in memory until the service reads the form itself. */
const MAX_FORM_BYTES = 64 * 1024

function mayReadForm(request: Request): boolean {
  return isForm(request.headers.get('content-type')) && !request.bodyUsed && !request.body?.locked
}

async function hasTokenInForm(request: Request): Promise<boolean> {
  const reader = request.clone().body?.getReader()
  const decoder = new TextDecoder()
  let form = ''
  for (let size = 0; size < MAX_FORM_BYTES; ) {
    const chunk = await reader?.read()
    if (chunk === undefined || chunk.done) break
    size += chunk.value.byteLength
    form += decoder.decode(chunk.value, { stream: true })
  }
  // Not awaited: it ends only when the original body was read.
  reader?.cancel().catch(() => {})
  return new URLSearchParams(form).has(PARAMETER)
}
