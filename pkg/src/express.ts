/**
 * A guard for Express, Connect and `node:http`.
 *
 * @module countersign/express
 */

import { admit, isForm, PARAMETER, readScopes, type AnyVerifier, type GuardOptions, type Refusal } from './bearer.js'
import type { VerifyError } from './errors.js'
import type { JwtHeader, JwtPayload } from './types.js'

export type { AnyVerifier, GuardOptions } from './bearer.js'
export type { VerifyError } from './errors.js'

/** What `req.auth` is behind the guard. */
export interface Auth {
  /** The verified token's claims. */
  readonly claims: JwtPayload
  /** The same, by the name that it has in express-oauth2-jwt-bearer. */
  readonly payload: JwtPayload
  /** The verified token's header. */
  readonly header: JwtHeader
}

declare global {
  namespace Express {
    interface Request {
      /** Set by the guard of `countersign/express`. */
      auth?: Auth
    }
  }
}

/** What the guard needs of a request: Express, Connect and `node:http` have it. */
export interface GuardedRequest {
  /** Path and query, in which a token is an error. */
  readonly url?: string | undefined
  /** The headers, by their names in lower case. */
  readonly headers: {
    /** The credentials. */
    readonly authorization?: string | undefined
    /** Whether the body is a form. */
    readonly 'content-type'?: string | undefined
  }
  /** All headers, name and value in turn: only they tell whether there are credentials twice. */
  readonly rawHeaders?: readonly string[]
  /** The body, where a parser has read it. */
  readonly body?: unknown
  /** Set by the guard. */
  auth?: Auth
}

/** What the guard needs of a response. */
export interface GuardedResponse {
  /** The status code to answer with. */
  statusCode: number
  /** Sets a header. */
  setHeader(name: string, value: string): unknown
  /** Sends the answer. */
  end(body: string): unknown
  /** Set by the guard: why it refused the request. */
  err?: VerifyError
}

/** Calls `next` for a request that may pass, and answers any other. */
export type Middleware = (req: GuardedRequest, res: GuardedResponse, next: (error?: unknown) => void) => void

/**
 * Makes a middleware for Express or Connect that verifies each request's access token, as RFC 6750 has it, and sets
 * `req.auth`. It works on `node:http` alone as well.
 *
 * Whatever it refuses it answers itself, with the status codes and the JSON of `countersign/guard`; the reason is then
 * in `res.err`, where loggers such as pino-http look for it. A token in a form is noticed where a parser has read the
 * form into `req.body` before.
 *
 * OPTIONS is a method like any other. Browsers send no token with a CORS preflight: put `cors()` before the guard.
 *
 * What is not the request's fault goes to `next(error)`: `options_invalid`, `jwks_invalid`, and whatever else is thrown.
 *
 * @throws {@link VerifyError} - `options_invalid`, at once, naming the option.
 */
export function guard(verifier: AnyVerifier, options: GuardOptions = {}): Middleware {
  const scopes = readScopes(options)
  return (req, res, next) => {
    pass(req, res, verifier, scopes).then((passed) => passed && next(), next)
  }
}

/** Whether the request may pass; where not, it is answered. */
async function pass(req: GuardedRequest, res: GuardedResponse, verifier: AnyVerifier, scopes: readonly string[]): Promise<boolean> {
  const admitted = await admit(
    {
      authorization: authorizationOf(req),
      url: req.url ?? '',
      hasTokenInForm: () => isForm(req.headers['content-type']) && Object.hasOwn(Object(req.body), PARAMETER),
    },
    verifier,
    scopes,
  )
  if ('verified' in admitted) {
    const { header, payload } = admitted.verified
    req.auth = { claims: payload, payload, header }
    return true
  }
  answer(res, admitted.refusal)
  return false
}

function answer(res: GuardedResponse, { status, headers, body, error }: Refusal): void {
  if (error !== undefined) res.err = error
  res.statusCode = status
  for (const [name, value] of Object.entries(headers)) res.setHeader(name, value)
  res.end(body)
}

/** Node.js drops every `Authorization` header but the first; that there were several shows in the raw ones. */
function authorizationOf({ headers, rawHeaders = [] }: GuardedRequest): string | undefined {
  const values = rawHeaders.filter((_, index) => index % 2 === 1 && rawHeaders[index - 1]?.toLowerCase() === 'authorization')
  return values.length > 1 ? values.join(', ') : headers.authorization
}
