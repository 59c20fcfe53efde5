import { Refusal } from './refusal.js'
import { readObject, readOrigin, readTexts, refuseSetting } from './setting.js'

/** Calls from pages of other origins: answered by the gateway, `pass`ed to the origin, or by default neither. */
export type Cors = Answered | 'pass' | undefined

interface Answered {
  readonly origins: readonly string[]
  /** The request headers that pages may set. */
  readonly headers: readonly string[]
  /** The time for which browsers may remember a preflight: seconds. */
  readonly maxAge: number
}

/** Returns the method that a CORS preflight asks for; `undefined` for any other request. */
export function methodOfPreflight({ method, headers }: Request): string | undefined {
  if (method !== 'OPTIONS' || !headers.has('origin')) return undefined
  return headers.get('access-control-request-method') ?? undefined
}

/** @throws {@link Refusal} - If pages of this origin may not call. */
export function answerPreflight(request: Request, method: string, { origins, headers, maxAge }: Answered): Response {
  const origin = request.headers.get('origin') ?? ''
  if (!origins.includes(origin)) throw new Refusal(403, 'origin_not_allowed', 'pages of this origin may not call')
  return new Response(null, {
    status: 204,
    headers: {
      'access-control-allow-origin': origin,
      'access-control-allow-methods': method,
      'access-control-allow-headers': headers.join(', '),
      'access-control-max-age': String(maxAge),
      vary: 'Origin',
    },
  })
}

/** Lets pages of the listed origins read a response, a refusal too. The origin's own headers for CORS are replaced. */
export function withCors(response: Response, request: Request, cors: Cors): Response {
  if (cors === undefined || cors === 'pass') return response
  const origin = request.headers.get('origin') ?? ''
  const readable = new Response(response.body, response)
  for (const name of ['access-control-allow-origin', 'access-control-allow-credentials']) readable.headers.delete(name)
  readable.headers.append('vary', 'Origin')
  if (cors.origins.includes(origin)) {
    readable.headers.set('access-control-allow-origin', origin)
    readable.headers.append('access-control-expose-headers', 'WWW-Authenticate')
  }
  return readable
}

/** @throws {@link SettingError} */
export function readCors(value: unknown): Cors {
  if (value === undefined || value === 'pass') return value
  const { origins, headers = ['content-type'], maxAge = 600 } = readObject(value, 'CORS', ['origins', 'headers', 'maxAge'])
  if (!Array.isArray(origins) || origins.length === 0) throw refuseSetting('CORS.origins', 'an array of origins')
  if (!Number.isInteger(maxAge)) throw refuseSetting('CORS.maxAge', 'a whole number of seconds')
  return {
    origins: origins.map((origin, index) => readOrigin(origin, `CORS.origins[${index}]`)),
    headers: ['authorization', ...readTexts(headers, 'CORS.headers', /^[\w-]+$/, 'names of headers')],
    maxAge: maxAge as number,
  }
}
