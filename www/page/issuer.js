const TIMEOUT_MS = 10_000

/** A refusal or a missing response of the issuer, with a message for the page: the problem and what to do. */
export class IssuerError extends Error {
  /** @param {boolean} [sessionOver] whether only a new login can help */
  constructor(message, { sessionOver = false } = {}) {
    super(message)
    this.name = 'IssuerError'
    this.sessionOver = sessionOver
  }
}

/**
 * Makes a client of the issuer's HTTP interface. Each method rejects with an `IssuerError`.
 *
 * @param {string} issuer its URL
 */
export function createIssuer(issuer) {
  const base = issuer.replace(/\/$/, '')
  const post = async (path, body, headers) => {
    let response
    try {
      response = await fetch(base + path, { method: 'POST', body, headers, signal: AbortSignal.timeout(TIMEOUT_MS) })
    } catch {
      throw new IssuerError(`The issuer at ${issuer} did not answer. Is it running? Start it with “cargo xtask start”, then try again.`)
    }
    if (!response.ok) throw await refusal(response, path)
    return response
  }
  const form = (path, fields) => post(path, new URLSearchParams(fields))

  return {
    /** Starts a session. Returns the token response. */
    async login(username, password) {
      const body = JSON.stringify({ username, password })
      return (await post('/login', body, { 'Content-Type': 'application/json' })).json()
    },
    /** Exchanges the refresh token for a new pair. Returns the token response. */
    async refresh(refreshToken) {
      return (await form('/token', { grant_type: 'refresh_token', refresh_token: refreshToken })).json()
    },
    /** Ends the session. */
    async logout(refreshToken) {
      await form('/logout', { refresh_token: refreshToken })
    },
  }
}

async function refusal(response, path) {
  const { error, error_description: description } = await response.json().catch(() => ({}))
  const wait = response.headers.get('Retry-After')
  const when = wait === null ? 'in a minute' : `in ${wait} s`
  if (response.status === 429) return new IssuerError(`Too many attempts from here. Try again ${when}.`)
  if (response.status === 503) return new IssuerError(`The issuer is busy. Try again ${when}.`)
  if (path === '/login' && response.status === 401) {
    return new IssuerError('The user name or the password is wrong. The demo user’s are shown below.')
  }
  if (error === 'invalid_grant') {
    return new IssuerError('The session is over: the issuer no longer takes its refresh token. Log in again.', { sessionOver: true })
  }
  return new IssuerError(`The issuer answered ${response.status} ${error ?? ''}: ${description ?? 'no reason given'}.`)
}
