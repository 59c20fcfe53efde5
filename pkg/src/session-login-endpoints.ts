import type { SessionError, SessionErrorCode } from './session-error.js'
import { refusal, unavailable, type Answer, type SessionRequests, type Tokens } from './session-requests.js'

/** A login that needs a second factor. */
export interface Pending {
  /** Works once. An answer to a wrong code brings the next one. */
  mfaToken: string
  /** The methods that the user can go on with. */
  readonly methods: readonly string[]
  /** True if it authenticates a session again: then no refresh token comes. */
  readonly isAgain: boolean
}

/** The proof of a second factor. */
export type Proof = { code: string } | { recovery_code: string } | PasskeyProof

/** A passkey's answer to a challenge. */
export interface PasskeyProof {
  readonly challenge_token: string
  /** `AuthenticationResponseJSON` of WebAuthn. */
  readonly credential: object
}

/** A challenge for passkeys. */
export interface Challenge {
  readonly token: string
  /** `PublicKeyCredentialRequestOptionsJSON` of WebAuthn. */
  readonly options: object
  /** The milliseconds that it can be answered. */
  readonly lifetime: number
}

/** The requests by which a user authenticates. Each method throws a {@link SessionError}. */
export class SessionLoginEndpoints {
  readonly #requests: SessionRequests

  constructor(requests: SessionRequests) {
    this.#requests = requests
  }

  async login(username: string, password: string): Promise<Tokens | Pending> {
    const answer = await this.#requests.postJson('/login', { username, password, session: this.#destination })
    return this.#tokensOrPending(answer, false, 'the user name or the password is wrong')
  }

  async loginWithPasskey(proof: PasskeyProof): Promise<Tokens | Pending> {
    const answer = await this.#requests.postJson('/login/passkey', { ...proof, session: this.#destination })
    return this.#tokensOrPending(answer, false, 'the issuer does not know the passkey, or its answer came too late')
  }

  /**
   * Authenticates the user of a session again. Without a refresh token, the session is that of the cookie.
   *
   * @throws {@link SessionError} `session_ended`, also if the refresh token was replaced
   */
  async again(refreshToken: string | undefined, proof: { password: string } | PasskeyProof): Promise<Tokens | Pending> {
    const answer = await this.#requests.postJson('/login/again', { ...proof, ...(refreshToken && { refresh_token: refreshToken }) })
    if (answer.status === 400 && answer.body['error'] === 'invalid_grant') {
      throw refusal('session_ended', 'the issuer ended the session: log in again', answer)
    }
    return this.#tokensOrPending(answer, true, 'the password or the passkey is wrong')
  }

  /** Sends a second factor. After a wrong one, `pending` can be used again. */
  async secondFactor(pending: Pending, proof: Proof): Promise<{ tokens: Tokens; recoveryCodes: readonly string[] }> {
    const answer = await this.#requests.postJson('/login/second-factor', { mfa_token: pending.mfaToken, ...proof })
    if (answer.status !== 200) throw this.#refused(answer, pending)
    const codes = answer.body['recovery_codes']
    return { tokens: this.#requests.tokens(answer, !pending.isAgain), recoveryCodes: Array.isArray(codes) ? codes.map(String) : [] }
  }

  /** Asks for the secret of a first TOTP. */
  async enrol(pending: Pending): Promise<{ secret: string; uri: string }> {
    const answer = await this.#requests.postJson('/login/totp', { mfa_token: pending.mfaToken })
    const { mfa_token: next, secret, uri } = answer.body
    if (answer.status !== 200) throw this.#refused(answer, pending)
    if (typeof next !== 'string' || typeof secret !== 'string' || typeof uri !== 'string') throw unavailable(answer)
    pending.mfaToken = next
    return { secret, uri }
  }

  /** Asks for a challenge: for the passkeys of the user of a pending login, or for any passkey. */
  async challenge(pending?: Pending): Promise<Challenge> {
    const answer = await this.#requests.postJson('/login/passkey/options', pending === undefined ? {} : { mfa_token: pending.mfaToken })
    const { status, body } = answer
    const { challenge_token: token, public_key: options, expires_in: seconds } = body
    if (status === 404) throw refusal('passkey_unavailable', 'the issuer has no passkeys', answer)
    if (status !== 200) throw this.#refused(answer, pending)
    if (typeof token !== 'string' || typeof options !== 'object' || options === null || typeof seconds !== 'number') throw unavailable(answer)
    return { token, options, lifetime: seconds * 1000 }
  }

  get #destination(): 'cookie' | 'token' {
    return this.#requests.mode === 'cookie' ? 'cookie' : 'token'
  }

  #tokensOrPending(answer: Answer, isAgain: boolean, problem: string): Tokens | Pending {
    const { status, body: { error, mfa_token: mfaToken, methods } } = answer
    if (status === 200) return this.#requests.tokens(answer, !isAgain)
    if (status === 401 && error === 'mfa_required' && typeof mfaToken === 'string') {
      return { mfaToken, methods: Array.isArray(methods) ? methods.map(String) : [], isAgain }
    }
    if (status === 404) throw refusal('passkey_unavailable', 'the issuer has no passkeys', answer)
    if (isInvalidGrant(answer)) throw refusal('login_failed', problem, answer)
    throw refusedAnyway(answer)
  }

  /** Returns the error for a refused second factor. Takes the next token, if there is one. */
  #refused(answer: Answer, pending: Pending | undefined): SessionError {
    if (!isInvalidGrant(answer)) return refusedAnyway(answer)
    const next = answer.body['mfa_token']
    if (pending === undefined || typeof next !== 'string') {
      return refusal('login_expired', 'the login took too long, or its step was used: begin with the password again', answer)
    }
    pending.mfaToken = next
    return refusal('second_factor_failed', 'the code or the passkey is wrong: try another one', answer)
  }
}

function isInvalidGrant({ status, body }: Answer): boolean {
  return status >= 400 && status < 500 && body['error'] === 'invalid_grant'
}

/** Returns the error for a refusal that has nothing to do with the password, code or passkey. */
function refusedAnyway(answer: Answer): SessionError {
  const [code, problem]: [SessionErrorCode, string] =
    answer.status === 429 ? ['too_many_logins', 'there were too many logins: try again later']
    : answer.status === 403 ? ['access_denied', 'the issuer takes no login from this page']
    : ['issuer_unavailable', 'the issuer could not answer']
  return refusal(code, problem, answer)
}
