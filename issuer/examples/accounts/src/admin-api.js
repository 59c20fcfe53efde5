// The application's calls of the Admin API, with an access token of its own client.
import { randomUUID } from 'node:crypto'
import { setTimeout } from 'node:timers/promises'
import { Refusal } from './refusal.js'

const TIMEOUT_MS = 10_000

/** The pauses before a request is repeated that got no answer, or 503. */
const PAUSES_MS = [500, 2000]

/** A token with less than this left is replaced. */
const RESERVE_MS = 30_000

/**
 * @param {{ issuer: string, adminApi: string, clientId: string, clientSecret: string }} settings
 */
export function createAdminApi({ issuer, adminApi, clientId, clientSecret }) {
  /** @type {Promise<string>} */
  let token
  /** The time at which the token is to be replaced. */
  let until = 0

  function accessToken() {
    if (Date.now() >= until) {
      // Requests that come meanwhile wait for the same token.
      until = Infinity
      token = requestToken()
    }
    return token
  }

  async function requestToken() {
    const credentials = Buffer.from(`${encodeURIComponent(clientId)}:${encodeURIComponent(clientSecret)}`).toString('base64')
    // The Admin API takes only tokens whose audience is the issuer.
    const body = new URLSearchParams({ grant_type: 'client_credentials', resource: issuer })
    const since = Date.now()
    try {
      const response = await send(`${issuer}/token`, { method: 'POST', body, headers: { authorization: `Basic ${credentials}` } })
      const answer = await response.json()
      if (response.status !== 200) throw unavailable(`the issuer refused the client with ${answer.error}`)
      until = since + answer.expires_in * 1000 - RESERVE_MS
      return answer.access_token
    } catch (error) {
      until = 0
      throw error
    }
  }

  /** Sends a request. Repeats it, which is safe: see "Repeated requests" in the Admin API's documentation. */
  async function call(method, path, { body, headers = {} } = {}) {
    for (const pause of [...PAUSES_MS, undefined]) {
      try {
        const response = await send(`${adminApi}/admin/v1${path}`, {
          method,
          headers: { ...headers, authorization: `Bearer ${await accessToken()}`, ...(body && { 'content-type': 'application/json' }) },
          body: body && JSON.stringify(body),
        })
        const answer = response.status === 204 ? {} : await response.json()
        if (response.ok) return answer
        // The issuer may have revoked the key that signed the token.
        if (response.status === 401) until = 0
        else if (response.status !== 503) throw new Refusal(response.status, answer.error, answer.error_description)
      } catch (error) {
        if (error instanceof Refusal && error.status !== 503) throw error
      }
      if (pause !== undefined) await setTimeout(pause)
    }
    throw unavailable('the Admin API does not answer')
  }

  return {
    /** Rejects if the issuer cannot be reached, or refuses the client. */
    ready: accessToken,

    /** Adds a user. @throws {Refusal} 409 if the name is taken */
    addUser(user) {
      return call('POST', '/users', { body: user, headers: { 'idempotency-key': randomUUID() } })
    },

    /** Returns the user with this name, or undefined. */
    async userNamed(name) {
      const { users } = await call('GET', `/users?name=${encodeURIComponent(name)}`)
      return users[0]
    },

    /** Returns `{ token, expires_at }`, with which the user sets a password once. */
    resetPassword: (sub) => call('POST', `/users/${encodeURIComponent(sub)}/password-reset`),

    deleteUser: (sub) => call('DELETE', `/users/${encodeURIComponent(sub)}`),
  }
}

async function send(url, init) {
  try {
    return await fetch(url, { ...init, redirect: 'error', signal: AbortSignal.timeout(TIMEOUT_MS) })
  } catch {
    throw unavailable('the issuer does not answer')
  }
}

function unavailable(reason) {
  console.error(`accounts: ${reason}`)
  return new Refusal(503, 'temporarily_unavailable', 'This does not work right now. Please try again in a minute.', { 'retry-after': '60' })
}
