// The access tokens that clients got, and the requests with them to the edges.
import { setTimeout as sleep } from 'node:timers/promises'
import { decodeUnverified } from 'countersign'
import { tamperWith } from '../js/support/tampering.js'

/** The most tokens that are kept. Expired ones and those of ended sessions are among them. */
const KEPT = 300

/** The newest ones, which most requests have. */
const NEW = 30

/** The requests to each edge at the same time. */
const AT_A_TIME = 2

export class Tokens {
  #edges
  #judge
  #ledger
  #random
  #kept = []
  #isStopping = false
  #running = []

  constructor(edges, judge, ledger, random) {
    this.#edges = edges
    this.#judge = judge
    this.#ledger = ledger
    this.#random = random
  }

  start() {
    for (const edge of this.#edges) {
      for (let count = 0; count < AT_A_TIME; count++) this.#running.push(this.#use(edge, this.#random.fork()))
    }
  }

  async stop() {
    this.#isStopping = true
    await Promise.all(this.#running)
  }

  /** Takes a new token of a session. */
  add(text, session) {
    const { header: { kid }, payload: { iat, exp, status } } = decodeUnverified(text)
    session.token = { text, iat, exp, idx: status.status_list.idx, kid, session, isForged: false }
    this.#kept.push(session.token)
    if (this.#kept.length > KEPT) this.#kept.splice(this.#random.below(KEPT - NEW), 1)
  }

  /** Asks each edge about the token of an ended session until it is refused, and measures that time. */
  watch({ token }) {
    for (const edge of this.#edges) void this.#untilRevoked(edge, token)
  }

  async #use(edge, random) {
    while (!this.#isStopping) {
      await sleep(random.between(20, 120))
      if (this.#kept.length === 0) continue
      const choice = random.below(10)
      const token = random.pick(choice < 7 ? this.#kept.slice(-NEW) : this.#kept)
      await this.#ask(edge, choice === 9 ? { ...token, text: forged(token.text, random), isForged: true } : token)
    }
  }

  async #untilRevoked(edge, token) {
    while (!this.#isStopping && Date.now() / 1000 < token.exp) {
      const answer = await this.#ask(edge, token)
      if (answer?.status === 401 && /revoked/.test(answer.code)) return this.#noteRevoked(edge, token.session, answer.answeredAt)
      await sleep(200)
    }
  }

  #noteRevoked(edge, session, at) {
    this.#ledger.revoked(edge.name, this.#judge.wasDisturbed(edge, session, at), (at - session.endedAt) / 1000)
  }

  async #ask(edge, token) {
    if (edge.isDown) return undefined
    const before = edge.clocks
    const sentAt = Date.now()
    const answer = await edge.ask(token.text)
    const whole = { ...answer, sentAt, answeredAt: Date.now(), clocks: [...before, ...edge.clocks] }
    // It may have been killed meanwhile.
    if (edge.isDown || edge.startedAt > sentAt) return undefined
    this.#ledger.count(`verified at ${edge.name}`)
    this.#ledger.measure('verify', whole.answeredAt - sentAt)
    this.#judge.judge(edge, token, whole)
    return whole
  }
}

/** Returns the token with another signature, with other claims, or without a signature. */
function forged(text, random) {
  const [header, payload, signature] = text.split('.')
  const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const { payload: claims, header: parameters } = decodeUnverified(text)
  return random.pick([
    () => tamperWith(text),
    () => [header, encode({ ...claims, exp: claims.exp + 3600 }), signature].join('.'),
    () => `${encode({ ...parameters, alg: 'none' })}.${payload}.`,
  ])()
}
