// An issuer for the page Sessions on a site without one. It answers POST /login, /token and /logout as countersign-issuer does,
// for one user, and signs with a key that the browser makes and does not hand out. It forgets everything when it ends.

import { encodePart, toBase64url } from './base64url.js'

/** The time in which a used refresh token gets the same answer again, as by `refresh_grace`. */
const GRACE_SECONDS = 30

/** Enough for a demonstration. Then the oldest session ends. */
const MOST_SESSIONS = 100

const ALGORITHM = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' }
const encoder = new TextEncoder()

/**
 * Makes an issuer.
 *
 * @param {object} options
 * @param {string} options.issuer its URL, the claim `iss`
 * @param {string} options.audience
 * @param {{ username: string, password: string }} options.user
 * @param {number} options.accessTtl the lifetime of access tokens, in seconds
 * @param {() => number} [options.now] the time in seconds
 * @returns {Promise<{ fetch: (url: string, init: RequestInit) => Promise<Response>, jwks: { keys: object[] } }>}
 */
export async function createSmallIssuer({ issuer, audience, user, accessTtl, now = () => Date.now() / 1000 }) {
  const pair = await crypto.subtle.generateKey({ ...ALGORITHM, modulusLength: 2048, publicExponent: new Uint8Array([1, 0, 1]) }, false, ['sign', 'verify'])
  const { kty, n, e } = await crypto.subtle.exportKey('jwk', pair.publicKey)
  const kid = await thumbprint({ e, kty, n })
  /** By the session's id: its refresh token, and the one before with its answer. */
  const sessions = new Map()

  const endpoints = {
    async '/login'(init) {
      const { username, password } = JSON.parse(init.body)
      if (username !== user.username || password !== user.password) {
        return refusal(401, 'invalid_grant', 'the user name or the password is wrong')
      }
      if (sessions.size >= MOST_SESSIONS) sessions.delete(sessions.keys().next().value)
      const sid = random()
      const current = `${sid}.${random()}`
      sessions.set(sid, { current, used: undefined })
      return Response.json(await tokens(sid, current))
    },

    async '/token'(init) {
      const form = new URLSearchParams(init.body)
      const token = form.get('refresh_token') ?? ''
      const sid = token.split('.', 1)[0]
      const session = sessions.get(sid)
      const gone = refusal(400, 'invalid_grant', 'the session is over')
      if (form.get('grant_type') !== 'refresh_token') return refusal(400, 'unsupported_grant_type', 'expected refresh_token')
      if (session === undefined) return gone
      const { current, used } = session
      if (token === current) {
        session.current = `${sid}.${random()}`
        session.used = { token, until: now() + GRACE_SECONDS, answer: tokens(sid, session.current) }
        return Response.json(await session.used.answer)
      }
      // The answer was lost, or two tabs asked at once.
      if (token === used?.token && now() < used.until) return Response.json(await used.answer)
      // The token was stolen or replayed.
      sessions.delete(sid)
      return gone
    },

    async '/logout'(init) {
      sessions.delete((new URLSearchParams(init.body).get('refresh_token') ?? '').split('.', 1)[0])
      return new Response(null, { status: 204 })
    },
  }

  async function tokens(sid, refreshToken) {
    const iat = Math.floor(now())
    const payload = { iss: issuer, sub: 'user_demo', aud: audience, client_id: 'site', exp: iat + accessTtl, iat, jti: random(), sid, scope: 'read write' }
    const signed = `${encodePart({ alg: 'RS256', typ: 'at+jwt', kid })}.${encodePart(payload)}`
    const signature = await crypto.subtle.sign(ALGORITHM, pair.privateKey, encoder.encode(signed))
    return {
      access_token: `${signed}.${toBase64url(new Uint8Array(signature))}`,
      token_type: 'Bearer',
      expires_in: accessTtl,
      refresh_token: refreshToken,
      scope: payload.scope,
    }
  }

  return {
    jwks: { keys: [{ kty, use: 'sig', alg: 'RS256', kid, n, e }] },
    fetch: async (url, init) => {
      const path = String(url).slice(issuer.length)
      if (!Object.hasOwn(endpoints, path)) return refusal(404, 'not_found', 'there is nothing at this path')
      return endpoints[path](init).catch(() => refusal(400, 'invalid_request', 'the request cannot be read'))
    },
  }
}

function refusal(status, error, description) {
  return Response.json({ error, error_description: description }, { status })
}

function random() {
  return toBase64url(crypto.getRandomValues(new Uint8Array(16)))
}

/** RFC 7638: the members in this order. */
async function thumbprint(members) {
  return toBase64url(new Uint8Array(await crypto.subtle.digest('SHA-256', encoder.encode(JSON.stringify(members)))))
}
