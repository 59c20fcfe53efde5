import { admit, isForm, PARAMETER, readScopes, type AnyVerifier, type GuardOptions, type Refusal } from './bearer.js'
import type { VerifyError } from './errors.js'
import type { JwtHeader, JwtPayload } from './types.js'

export type { AnyVerifier, GuardOptions } from './bearer.js'

/** What `req.auth` is behind the guard. */
export interface Auth {
  /** The verified token's claims. */
  readonly claims: JwtPayload
  /** The same, by the name that it has in express-oauth2-jwt-bearer. */
  readonly payload: JwtPayload
  readonly header: JwtHeader
}

declare global {
  namespace Express {
    interface Request {
      auth?: Auth
    }
  }
}

/** What the guard needs of a request: Express, Connect and `node:http` have it. */
export interface GuardedRequest {
  readonly url?: string | undefined
  readonly headers: { readonly authorization?: string | undefined; readonly 'content-type'?: string | undefined }
  readonly rawHeaders?: readonly string[]
  readonly body?: unknown
  auth?: Auth
}

/** What the guard needs of a response. */
export interface GuardedResponse {
  statusCode: number
  setHeader(name: string, value: string): unknown
  end(body: string): unknown
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
