import type { Browser } from './session-browser.js'
import { SessionError } from './session-error.js'
import type { SessionKeeper } from './session-keeper.js'
import type { PasskeyProof, Pending, Proof, SessionLoginEndpoints } from './session-login-endpoints.js'
import { getPasskey } from './session-passkeys.js'
import type { Tokens } from './session-requests.js'
import type { PasskeyOptions, SecondFactor } from './session-types.js'

/** The part of a challenge's lifetime after which a form field gets another one. */
const RENEW_PART = 0.8

/** The ways to log in, and to authenticate again. */
export class SessionLogins {
  readonly #keeper: SessionKeeper
  readonly #endpoints: SessionLoginEndpoints
  readonly #browser: Browser
  /** Ends the request to the browser for a passkey: it takes one at a time. */
  #asking = new AbortController()

  constructor(keeper: SessionKeeper, endpoints: SessionLoginEndpoints, browser: Browser) {
    this.#keeper = keeper
    this.#endpoints = endpoints
    this.#browser = browser
  }

  login(username: string, password: string): Promise<SecondFactor | undefined> {
    return this.#first(false, () => this.#endpoints.login(username, password))
  }

  async loginWithPasskey(options: PasskeyOptions = {}): Promise<void> {
    const proof = await this.#askForPasskey(options)
    await this.#first(false, () => this.#endpoints.loginWithPasskey(proof))
  }

  again(password: string): Promise<SecondFactor | undefined> {
    return this.#first(true, (refreshToken) => this.#endpoints.again(refreshToken, { password }))
  }

  async againWithPasskey({ signal }: PasskeyOptions = {}): Promise<void> {
    const proof = await this.#askForPasskey({ signal })
    await this.#first(true, (refreshToken) => this.#endpoints.again(refreshToken, proof))
  }

  close(): void {
    this.#asking.abort()
  }

  /** Sends the first request of a login. Returns the step that is left, if there is one. */
  async #first(isAgain: boolean, send: (refreshToken?: string) => Promise<Tokens | Pending>): Promise<SecondFactor | undefined> {
    let pending: Pending | undefined
    await this.#take(isAgain, async (refreshToken) => {
      const answer = await send(refreshToken)
      if ('accessToken' in answer) return answer
      pending = answer
      return undefined
    })
    return pending && this.#second(pending)
  }

  #take(isAgain: boolean, send: (refreshToken?: string) => Promise<Tokens | undefined>): Promise<void> {
    return isAgain ? this.#keeper.authenticate(send) : this.#keeper.logIn(send)
  }

  #second(pending: Pending): SecondFactor {
    const prove = async (proof: Proof): Promise<readonly string[]> => {
      let recoveryCodes: readonly string[] = []
      await this.#take(pending.isAgain, async () => {
        const answer = await this.#endpoints.secondFactor(pending, proof)
        recoveryCodes = answer.recoveryCodes
        return answer.tokens
      })
      return recoveryCodes
    }
    return Object.freeze({
      methods: Object.freeze([...pending.methods]),
      code: async (code: string) => void (await prove({ code })),
      recoveryCode: async (code: string) => void (await prove({ recovery_code: code })),
      passkey: async ({ signal }: PasskeyOptions = {}) => void (await prove(await this.#askForPasskey({ signal }, pending))),
      enrol: async () => Object.freeze({ ...(await this.#endpoints.enrol(pending)), confirm: (code: string) => prove({ code }) }),
    })
  }

  /** Asks the issuer for a challenge, and the user for the passkey that answers it. */
  async #askForPasskey({ mediation, signal }: PasskeyOptions, pending?: Pending): Promise<PasskeyProof> {
    this.#asking.abort()
    const asking = (this.#asking = new AbortController())
    const isConditional = mediation === 'conditional'
    // A login by another way, or in another tab, makes the suggestions of a form field useless.
    const stop = isConditional ? this.#keeper.onChange(({ status }) => status === 'active' && asking.abort()) : () => {}
    try {
      if (isConditional && !(await this.#browser.suggestsPasskeys())) {
        throw new SessionError('passkey_unavailable', 'this browser suggests no passkeys in form fields: offer a button instead')
      }
      for (;;) {
        const proof = await this.#answer(asking.signal, isConditional, signal, pending)
        if (proof !== undefined) return proof
      }
    } finally {
      stop()
    }
  }

  /** Lets a passkey answer one challenge. Returns undefined if it has to be another challenge, since this one expires. */
  async #answer(asking: AbortSignal, isConditional: boolean, signal: AbortSignal | undefined, pending?: Pending): Promise<PasskeyProof | undefined> {
    const { token, options, lifetime } = await this.#endpoints.challenge(pending)
    const attempt = new AbortController()
    const end = () => attempt.abort(signal?.aborted ? signal.reason : ended())
    const signals = [asking, signal].filter((one) => one !== undefined)
    for (const one of signals) one.addEventListener('abort', end)
    if (signals.some(({ aborted }) => aborted)) end()
    const expired = {}
    const timer = isConditional ? this.#browser.setTimeout(() => attempt.abort(expired), lifetime * RENEW_PART) : undefined
    try {
      attempt.signal.throwIfAborted()
      const credential = await getPasskey(this.#browser, options, { mediation: isConditional ? 'conditional' : undefined, signal: attempt.signal })
      return { challenge_token: token, credential }
    } catch (error) {
      if (error === expired) return undefined
      throw error
    } finally {
      this.#browser.clearTimeout(timer)
      for (const one of signals) one.removeEventListener('abort', end)
    }
  }
}

function ended(): SessionError {
  return new SessionError('passkey_cancelled', 'the request for a passkey has ended: another one began, or somebody has logged in')
}
