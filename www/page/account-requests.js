/** A request that the issuer refused: its `error`, and its description. */
export class AccountError extends Error {
  constructor(status, { error, error_description: description }, retryAfter) {
    super(`The issuer answered ${[status, error, description].filter(Boolean).join(': ')}`)
    this.code = error
    this.description = description
    this.retryAfter = retryAfter
  }
}

/**
 * Returns a function that sends a request of the logged-in user to the issuer, and returns the JSON of its answer.
 *
 * @param {import('countersign/session').Session} session one that sends its token to the issuer
 * @param {string} issuer
 * @returns {(method: string, path: string, members?: object) => Promise<any>} throws an `AccountError`
 */
export function accountRequests(session, issuer) {
  const base = issuer.replace(/\/$/, '')
  return async (method, path, members) => {
    const json = members && { headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(members) }
    const response = await session.fetch(base + path, { method, ...json })
    const text = await response.text()
    const body = text.startsWith('{') ? JSON.parse(text) : {}
    if (!response.ok) throw new AccountError(response.status, body, Number(response.headers.get('retry-after')) || undefined)
    return body
  }
}
