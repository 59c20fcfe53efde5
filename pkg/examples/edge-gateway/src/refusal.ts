import { VerifyError } from 'countersign'
import { SettingError } from './setting.js'

interface Details {
  readonly headers?: Readonly<Record<string, string>>
  /** The `error` of the response, if it is not the code. */
  readonly error?: string
  /** More for the log. */
  readonly reason?: string | undefined
}

/** A request that is not forwarded. The message is the response's `error_description`. */
export class Refusal extends Error {
  readonly status: number
  readonly code: string
  readonly details: Details

  constructor(status: number, code: string, message: string, details: Details = {}) {
    super(message)
    this.status = status
    this.code = code
    this.details = details
  }
}

/** Returns the refusal that the guard made. Its code is the verifier's. */
export async function refusalOf(response: Response, fault: VerifyError | undefined): Promise<Refusal> {
  const { status } = response
  // The response to a HEAD has no body. Without a fault of the token, the request has none, or two.
  const otherwise = status === 401 ? 'unauthorized' : 'invalid_request'
  const { error = otherwise, error_description: message } = JSON.parse((await response.text()) || '{}')
  const headers = Object.fromEntries(response.headers)
  return new Refusal(status, fault?.code ?? error, message, { headers, error, reason: fault?.message })
}

/** Returns the refusal for any error. Faults of the issuer and of the settings are not the caller's, and no `401`. */
export function refusalFor(fault: unknown): Refusal {
  if (fault instanceof Refusal) return fault
  if (fault instanceof SettingError || (fault instanceof VerifyError && fault.code === 'options_invalid')) {
    return new Refusal(500, 'settings_invalid', 'the gateway is not set up', { reason: fault.message })
  }
  if (fault instanceof VerifyError) {
    const details = { headers: { 'retry-after': '10' }, error: 'temporarily_unavailable', reason: fault.message }
    return new Refusal(503, fault.code, 'tokens cannot be checked at the moment; try again later', details)
  }
  // The message of another error could quote the request.
  return new Refusal(500, 'internal_error', 'the gateway failed', { reason: (fault as Error).name })
}

/** Answers with a page or JSON. */
export function responseTo({ method, headers: asked }: Request, { status, code, message, details }: Refusal): Response {
  const { error = code, headers } = details
  const page = prefersPage(asked.get('accept') ?? '')
  const body = page ? pageOf(status, message) : JSON.stringify({ error, error_description: message })
  const own = { 'content-type': page ? 'text/html; charset=utf-8' : 'application/json', 'content-security-policy': POLICY }
  return new Response(method === 'HEAD' ? null : body, { status, headers: { ...headers, ...own, ...FOR_ALL } })
}

/**
 * Writes one line. It has neither the token nor the path, which may hold one: Cloudflare's logs have the URL by `ray`. The
 * `reason` is for operators alone: it may name internal hosts, and the issuers and audiences that are accepted.
 */
export function log({ method, headers }: Request, { status, code, details }: Refusal, route: string | undefined): void {
  const ray = headers.get('cf-ray') ?? undefined
  console.log(JSON.stringify({ event: 'refused', status, code, method, route, ray, reason: details.reason }))
}

const POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
const FOR_ALL = { 'cache-control': 'no-store', vary: 'Accept', 'x-content-type-options': 'nosniff' }

/** Returns true if HTML is named, and JSON is not named with a higher weight (RFC 9110 §12.5.1). */
function prefersPage(accept: string): boolean {
  const html = weightOf('text/html', accept)
  return html > 0 && html >= weightOf('application/json', accept)
}

function weightOf(type: string, accept: string): number {
  const ranges = accept.toLowerCase().split(',').map((range) => range.split(';').map((part) => part.trim()))
  const range = ranges.find(([name]) => name === type)
  if (range === undefined) return 0
  return Number(range.find((part) => part.startsWith('q='))?.slice(2) ?? 1) || 0
}

function pageOf(status: number, message: string): string {
  const title = TITLES[status] ?? 'The request was refused'
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${title}</title>
<style>
  body { max-width: 40rem; margin: 4rem auto; padding: 0 1rem; font: 1rem/1.5 system-ui; color-scheme: light dark; }
</style>
<h1>${title}</h1>
<p>${escape(message)}</p>
</html>
`
}

const TITLES: Readonly<Record<number, string>> = {
  401: 'Please log in',
  403: 'You may not see this',
  404: 'Nothing is here',
  502: 'The site does not answer',
  503: 'Please try again later',
}

function escape(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
}
