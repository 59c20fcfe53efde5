// In front of an origin: a request is forwarded only if a row of the table of routes admits it. README.md has the settings.
import { guard } from 'countersign/guard'
import { answerPreflight, methodOfPreflight, withCors } from './cors.js'
import { dropHeaders, setHeaders, type Claims } from './headers.js'
import { readPath } from './path.js'
import { log, Refusal, refusalFor, refusalOf, responseTo } from './refusal.js'
import { findRoute, type Route } from './routes.js'
import { readSettings, type Env, type Settings } from './settings.js'
import { sign } from './signature.js'

/** One for all requests of the isolate, because its verifier caches the key set and the status lists. */
let settings: Settings | undefined

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    let route: Route | undefined
    try {
      settings ??= readSettings(env)
      const { cors, origin, routes, signingKey } = settings
      const url = new URL(request.url)
      const path = readPath(url.pathname)
      const preflight = cors && methodOfPreflight(request)
      route = findRoute(routes, path, preflight ?? request.method)
      if (preflight !== undefined && typeof cors === 'object') return answerPreflight(request, preflight, cors)
      const claims = preflight !== undefined || route.isPublic ? {} : await claimsOf(request, route, settings)
      // The origin gets the path that the route was found by.
      const forwarded = new Request(origin + path.exact + url.search, request)
      dropHeaders(forwarded.headers, request, route)
      setHeaders(forwarded.headers, url, route, claims)
      if (signingKey !== undefined) await sign(forwarded, route, signingKey)
      return withCors(await forward(forwarded, route), request, cors)
    } catch (error) {
      const refusal = refusalFor(error)
      log(request, refusal, route?.path)
      return withCors(responseTo(request, refusal), request, settings?.cors)
    }
  },
}

/** @throws {@link Refusal} - If the request has no good token. */
async function claimsOf(request: Request, { scope }: Route, { keys }: Settings): Promise<Claims> {
  keys.refreshAhead()
  const { claims, response, error } = await guard(request, keys.verifier(), { scope })
  if (response !== undefined) throw await refusalOf(response, error)
  return claims
}

/** Returns the origin's response as it is, errors and redirects too. */
async function forward(request: Request, { isPublic }: Route): Promise<Response> {
  const init: RequestInit = { redirect: 'manual' }
  // Cloudflare's cache does not know the claims: it would answer with somebody else's response.
  if (!isPublic) init.cache = 'no-store'
  try {
    return await fetch(request, init)
  } catch (error) {
    throw new Refusal(502, 'origin_unreachable', 'the origin does not answer; try again later', { reason: String(error) })
  }
}
