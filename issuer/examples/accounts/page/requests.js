/** A refused request. `code` is the `error` of the answer. */
export class RequestError extends Error {
  constructor(code, description, status) {
    super(description)
    this.code = code
    this.status = status
  }
}

/**
 * Sends a request with JSON, and returns the JSON of the answer.
 *
 * @param {typeof fetch} fetch the global one, or that of a session
 * @throws {RequestError}
 */
export async function send(fetch, method, url, body, init = {}) {
  const headers = { ...init.headers, ...(body && { 'content-type': 'application/json' }) }
  const response = await fetch(url, { ...init, method, headers, body: body && JSON.stringify(body), cache: 'no-store' }).catch((error) => {
    // A session's errors have codes, unlike those of the network.
    throw error.code === undefined || error instanceof DOMException ? new RequestError('issuer_unavailable', String(error), 0) : error
  })
  const answer = await response.json().catch(() => ({}))
  if (response.ok) return answer
  throw new RequestError(answer.error ?? 'issuer_unavailable', answer.error_description ?? `status ${response.status}`, response.status)
}
