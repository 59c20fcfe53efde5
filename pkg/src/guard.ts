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

/** Whether a request may pass: then there are `claims`, and else a `response` to answer with. */
export type Guarded<Claims extends object = {}> =
  | {
      /** The verified token's claims. */
      readonly claims: JwtPayload & Readonly<Claims>
      /** There is none: the request may pass. */
      readonly response?: undefined
      /** There is none. */
      readonly error?: undefined
    }
  | {
      /** 400, 401, 403 or 503. */
      readonly response: Response
      /** Why, for the log, where there was a token to look at; with `jwks_unavailable`, what the response leaves out. */
      readonly error?: VerifyError
      /** There are none: the request may not pass. */
      readonly claims?: undefined
    }

/**
 * Verifies the access token of a request, as RFC 6750 has it, wherever requests are of the Fetch standard: Workers,
 * Deno, Bun, Hono, Next.js.
 *
 * The token is taken from the `Authorization` header alone, its scheme `Bearer` in any case. Each `response` is JSON,
 * `{ error, error_description }`, with `Cache-Control: no-store`, and without the token; to a HEAD it has no body.
 *
 * | status | `error` | when |
 * |---|---|---|
 * | 401 | `unauthorized` | no token, or credentials of another scheme; the challenge is a bare `Bearer` |
 * | 400 | `invalid_request` | not one well-formed token: two, an empty one, or another in the query or in a form |
 * | 401 | `invalid_token` | the verifier refused the token |
 * | 403 | `insufficient_scope` | the token is good, but lacks a scope |
 * | 503 | `temporarily_unavailable` | there are no keys to check with; with `Retry-After` |
 *
 * A form is looked at once the token is good, in a copy of its first 64 KiB, and only while nobody has read it.
 *
 * OPTIONS is a method like any other. Browsers send no token with a CORS preflight: answer those before the guard.
 *
 * @typeParam Claims - Types for the token's own claims. They are an assertion of the caller, not checked.
 * @throws {@link VerifyError} - `options_invalid` and `jwks_invalid`: the service is set up wrongly, which is for its log
 * and not for its callers. Let it be thrown: every framework answers 500.
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
      hasTokenInForm: () => hasTokenInForm(request),
    },
    verifier,
    readScopes(options),
  )
  if ('verified' in admitted) return { claims: admitted.verified.payload as JwtPayload & Readonly<Claims> }
  const { status, headers, body, error } = admitted.refusal
  const response = new Response(request.method === 'HEAD' ? null : body, { status, headers })
  return error === undefined ? { response } : { response, error }
}

/** How much of a form is looked at: more would have to be kept in memory for whoever reads the form itself. */
const MAX_FORM_BYTES = 64 * 1024

async function hasTokenInForm(request: Request): Promise<boolean> {
  if (!isForm(request.headers.get('content-type')) || request.bodyUsed || request.body?.locked) return false
  const reader = request.clone().body?.getReader()
  const decoder = new TextDecoder()
  let form = ''
  for (let size = 0; size < MAX_FORM_BYTES; ) {
    const chunk = await reader?.read()
    if (chunk === undefined || chunk.done) break
    size += chunk.value.byteLength
    form += decoder.decode(chunk.value, { stream: true })
  }
  // Not awaited: a copy's cancellation is over when the original's reader is done.
  reader?.cancel().catch(() => {})
  return new URLSearchParams(form).has(PARAMETER)
}
