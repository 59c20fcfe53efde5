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

/**
 * The value of `req.auth` behind the guard.
 *
 * @typeParam Claims - Types for the token's own claims. They are an assertion of the caller, not checked.
 */
export interface Auth<Claims extends object = {}> {
  /** The verified token's claims. */
  readonly claims: JwtPayload & Readonly<Claims>
  /** The claims under their name in express-oauth2-jwt-bearer. */
  readonly payload: JwtPayload & Readonly<Claims>
  /** The verified token's header. */
  readonly header: JwtHeader
  /** The verified token, to pass it on. It is not enumerable, so that `JSON.stringify` and logs leave it out. */
  readonly token: string
}

/**
 * A request behind the guard, for frameworks whose requests have no `auth`:
 * `(request.raw as Authenticated<typeof request.raw>).auth.claims` in Fastify.
 *
 * @typeParam Request - The request of the framework.
 * @typeParam Claims - Types for the token's own claims. They are an assertion of the caller, not checked.
 */
export type Authenticated<Request, Claims extends object = {}> = Omit<Request, 'auth'> & {
  /** Set by the guard. */
  readonly auth: Auth<Claims>
}

/** @ts-ignore express-oauth2-jwt-bearer declares `req.auth` too, with this type. If it is not installed, the type is an error. */
type Theirs = import('express-oauth2-jwt-bearer').AuthResult

declare global {
  namespace Express {
    interface Request {
      /** Set by the guard of `countersign/express`. Both declarations must have the same type. */
      auth?: [unknown] extends [Theirs] ? Auth : Theirs
    }
  }
}

/** The part of a request that the guard uses, of Express, Connect or `node:http`. */
export interface GuardedRequest {
  /** Path and query. A token in the query is an error. */
  readonly url?: string | undefined
  /** The headers, by their names in lower case. */
  readonly headers: {
    /** The credentials. */
    readonly authorization?: string | undefined
    /** The type of the body: a form may hold a token. */
    readonly 'content-type'?: string | undefined
  }
  /** All headers, name and value in turn: only they show a second `Authorization` header. */
  readonly rawHeaders?: readonly string[]
  /** The body, if a parser has read it. */
  readonly body?: unknown
  /** Set by the guard: {@link Auth}. */
  auth?: unknown
}

/** The part of a response that the guard uses. */
export interface GuardedResponse {
  /** The status code of the response. */
  statusCode: number
  /** Sets a header. */
  setHeader(name: string, value: string): unknown
  /** Sends the response. */
  end(body: string): unknown
  /** Set by the guard: the reason of a refusal. */
  err?: VerifyError
}

/** Calls `next` if the request may pass, and answers it otherwise. */
export type Middleware = (req: GuardedRequest, res: GuardedResponse, next: (error?: any) => void) => void

/**
 * Makes a middleware for Express, Connect or `node:http` that verifies the access token of each request (RFC 6750) and
 * sets `req.auth`.
 *
 * It answers refused requests with the status codes and the JSON of `countersign/guard`. It sets `res.err` to the error,
 * where loggers such as pino-http look for it. It finds a token in a form only if a parser has read the form into
 * `req.body` before.
 *
 * OPTIONS is guarded like every method. CORS preflights bring no token: put `cors()` before the guard.
 *
 * Errors that are no fault of the request go to `next(error)`: `options_invalid`, `jwks_invalid`, and any other.
 *
 * @throws {@link VerifyError} - `options_invalid`, at once, naming the option.
 */
export function guard(verifier: AnyVerifier, options: GuardOptions = {}): Middleware {
  const scopes = readScopes(options)
  return (req, res, next) => {
    pass(req, res, verifier, scopes).then((passed) => passed && next(), next)
  }
}

/** Returns true if the request may pass, and answers it otherwise. */
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
    req.auth = Object.defineProperty({ claims: payload, payload, header }, 'token', { value: admitted.token })
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

/** Joins the `Authorization` headers. Node.js drops all but the first from `headers`, but not from `rawHeaders`. */
function authorizationOf({ headers, rawHeaders = [] }: GuardedRequest): string | undefined {
  const values = rawHeaders.filter((_, index) => index % 2 === 1 && rawHeaders[index - 1]?.toLowerCase() === 'authorization')
  return values.length > 1 ? values.join(', ') : headers.authorization
}
