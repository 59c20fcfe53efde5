// An issuer in the memory of the test: one user, whose second factors the test sets, and real passkeys. Its tokens are unsigned.
import { createHash, createPublicKey, randomBytes, verify } from 'node:crypto'

const LIFETIME_S = 900

export class StandInIssuer {
  /** The passkeys: SPKI by the id of the credential. */
  passkeys = new Map()
  /** The second factors of the user. */
  methods = []
  requests = []
  authenticatedAt = 0
  #origin
  #refreshToken = ''
  /** The refresh token before, which brings the same successor again. */
  #replaced
  #challenges = new Map()
  /** The pending logins: true if one authenticates a session again. */
  #pending = new Map()

  /** `origin`: that of the pages. */
  constructor(origin) {
    this.#origin = origin
  }

  async answer(request) {
    const path = new URL(request.url).pathname.replace('/issuer', '')
    this.requests.push(path)
    const text = await request.text()
    const members = text.startsWith('{') ? JSON.parse(text) : Object.fromEntries(new URLSearchParams(text))
    return this.#routes[path]?.(members) ?? refuse(404, 'not_found')
  }

  #routes = {
    '/login': ({ password }) => {
      if (password !== 'secret') return refuse(401, 'invalid_grant')
      return this.methods.length === 0 ? this.#begin() : this.#pend(false)
    },
    '/login/second-factor': ({ mfa_token: token, code, ...proof }) => {
      const isAgain = this.#pending.get(token)
      if (!this.#pending.delete(token)) return refuse(401, 'invalid_grant')
      const isProven = code === '123456' || (proof.credential && this.#isAnswer(proof))
      if (!isProven) return this.#pend(isAgain, 'invalid_grant')
      return isAgain ? this.#authenticated() : this.#begin()
    },
    '/login/passkey/options': ({ mfa_token: token }) => {
      const allowCredentials = token === undefined ? [] : [...this.passkeys.keys()].map((id) => ({ type: 'public-key', id }))
      return this.#challenge({ rpId: 'localhost', userVerification: 'required', timeout: 60_000, allowCredentials })
    },
    '/login/passkey': (proof) => (this.#isAnswer(proof) ? this.#begin() : refuse(401, 'invalid_grant')),
    '/login/again': ({ refresh_token: token, password, ...proof }) => {
      if (token !== this.#refreshToken) return refuse(400, 'invalid_request')
      if (password === undefined) return this.#isAnswer(proof) ? this.#authenticated() : refuse(401, 'invalid_grant')
      if (password !== 'secret') return refuse(401, 'invalid_grant')
      return this.methods.length === 0 ? this.#authenticated() : this.#pend(true)
    },
    '/token': ({ refresh_token: token, max_age: maxAge }) => {
      if (token !== this.#refreshToken && token !== this.#replaced) return refuse(400, 'invalid_grant')
      if (maxAge !== undefined && now() - this.authenticatedAt > Number(maxAge)) return refuse(401, 'insufficient_user_authentication')
      if (token === this.#refreshToken) [this.#replaced, this.#refreshToken] = [token, random()]
      return Response.json({ ...this.#accessToken(), refresh_token: this.#refreshToken })
    },
    '/logout': () => ((this.#refreshToken = ''), (this.#replaced = undefined), new Response(null, { status: 204 })),
    '/passkeys/options': () => {
      const user = { id: 'AQIDBA', name: 'alice', displayName: 'Alice' }
      const authenticatorSelection = { residentKey: 'required', userVerification: 'required' }
      const excludeCredentials = [...this.passkeys.keys()].map((id) => ({ type: 'public-key', id }))
      const pubKeyCredParams = [{ type: 'public-key', alg: -7 }]
      return this.#challenge({ rp: { id: 'localhost', name: 'Test' }, user, pubKeyCredParams, authenticatorSelection, excludeCredentials })
    },
    '/passkeys': ({ challenge_token: token, credential: { id, response } }) => {
      if (!this.#isChallenge(token, response, 'webauthn.create')) return refuse(401, 'invalid_grant')
      this.passkeys.set(id, response.publicKey)
      return Response.json({ id }, { status: 201 })
    },
  }

  #challenge(options) {
    const [token, challenge] = [random(), random()]
    this.#challenges.set(token, challenge)
    return Response.json({ challenge_token: token, expires_in: 300, public_key: { challenge, ...options } })
  }

  #isChallenge(token, { clientDataJSON }, kind) {
    const { type, challenge, origin } = JSON.parse(Buffer.from(clientDataJSON, 'base64url'))
    const expected = this.#challenges.get(token)
    this.#challenges.delete(token)
    return type === kind && challenge === expected && origin === this.#origin
  }

  /** WebAuthn Level 3, section 7.2: the steps that find faults of the page's JSON. */
  #isAnswer({ challenge_token: token, credential: { id, response } }) {
    const key = this.passkeys.get(id)
    if (key === undefined || !this.#isChallenge(token, response, 'webauthn.get')) return false
    const [data, client, signature] = ['authenticatorData', 'clientDataJSON', 'signature'].map((name) => Buffer.from(response[name], 'base64url'))
    const signed = Buffer.concat([data, createHash('sha256').update(client).digest()])
    return verify('sha256', signed, createPublicKey({ key: Buffer.from(key, 'base64url'), format: 'der', type: 'spki' }), signature)
  }

  #begin() {
    this.authenticatedAt = now()
    return Response.json({ ...this.#accessToken(), refresh_token: (this.#refreshToken = random()) })
  }

  #authenticated() {
    this.authenticatedAt = now()
    return Response.json(this.#accessToken())
  }

  #pend(isAgain, error = 'mfa_required') {
    const token = random()
    this.#pending.set(token, isAgain)
    return refuse(401, error, { mfa_token: token, expires_in: 300, methods: this.methods })
  }

  #accessToken() {
    const payload = { exp: now() + LIFETIME_S, auth_time: this.authenticatedAt, jti: random() }
    const token = `e30.${Buffer.from(JSON.stringify(payload)).toString('base64url')}.c2ln`
    return { access_token: token, token_type: 'Bearer', expires_in: LIFETIME_S, scope: 'read' }
  }
}

function refuse(status, error, members = {}) {
  return Response.json({ error, ...members }, { status })
}

const random = () => randomBytes(16).toString('base64url')
const now = () => Math.floor(Date.now() / 1000)
