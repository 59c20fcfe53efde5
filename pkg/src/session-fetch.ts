import type { Browser } from './session-browser.js'
import { SessionError } from './session-error.js'
import type { SessionKeeper } from './session-keeper.js'
import type { SessionSettings } from './session-options.js'

/** RFC 6750 §3: the challenge of a service that refused the token. */
const INVALID_TOKEN = /(?:^|[\s,])error\s*=\s*"?invalid_token"?\s*(?:,|$)/i

/** Returns the `fetch` of a session. */
export function fetchWith(keeper: SessionKeeper, settings: SessionSettings, browser: Browser): typeof fetch {
  return async (input, init = {}) => {
    const own = urlOf(input)
    const request = own === undefined ? undefined : (input as Request)
    // The URL is read once: an object could change between the check and the request.
    const url = new URL(own ?? String(input), browser.base())
    checkOrigin(url, settings, browser)

    const send = async (token: string, source: Request | string) => {
      const headers = new Headers(init.headers ?? request?.headers)
      headers.set('Authorization', `Bearer ${token}`)
      // A redirect could take the token elsewhere, and not every browser removes it.
      const redirect = init.redirect ?? request?.redirect ?? 'follow'
      const follows = redirect !== 'manual' && redirect !== 'error'
      const response = await (settings.fetch ?? fetch)(source, { ...init, headers, redirect: follows ? 'manual' : redirect })
      if (follows && response.type === 'opaqueredirect') throw new SessionError('redirect_refused', REDIRECT)
      return response
    }

    const token = await unlessAborted(keeper.accessToken(), init.signal ?? request?.signal)
    const source = request ?? url.href
    if (isStream(init.body)) return send(token, source)
    const first = request !== undefined && request.body !== null && init.body === undefined ? request.clone() : source
    const response = await send(token, first)
    if (response.status !== 401 || !INVALID_TOKEN.test(response.headers.get('www-authenticate') ?? '')) return response
    const another = await unlessAborted(keeper.replace(token), init.signal ?? request?.signal)
    if (another === undefined) return response
    await response.body?.cancel()
    return send(another, source)
  }
}

const REDIRECT =
  'the response is a redirect, which is not followed because the token could go to another place: request its target, ' +
  "or set the option redirect of fetch to 'manual'"

function checkOrigin({ origin, protocol }: URL, { origins }: SessionSettings, browser: Browser): void {
  const allowed = [browser.origin(), ...origins]
  if (/^https?:$/.test(protocol) && allowed.includes(origin)) return
  const problem = `the token is not sent to ${origin === 'null' ? `a URL of ${protocol}` : origin}`
  const advice = 'if this service may have it, add its origin to the option origins; otherwise call the plain fetch'
  throw new SessionError('origin_not_allowed', `${problem}: expected one of ${allowed.join(', ')}; ${advice}`)
}

/**
 * Returns the URL of a `Request`, also of another frame, as `fetch` reads it: not as another property `url` says. Undefined
 * for any other object, which `fetch` takes for its text.
 */
function urlOf(input: unknown): string | undefined {
  try {
    return Object.getOwnPropertyDescriptor(Request.prototype, 'url')?.get?.call(input)
  } catch {
    return undefined
  }
}

/** A stream can be sent only once. */
function isStream(body: unknown): boolean {
  return typeof body === 'object' && body !== null && ('getReader' in body || Symbol.asyncIterator in body)
}

/** Rejects like `fetch` if the signal is aborted before the promise is settled. */
function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal | null | undefined): Promise<T> {
  if (signal === null || signal === undefined) return promise
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason)
    signal.addEventListener('abort', abort)
    if (signal.aborted) abort()
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  })
}
