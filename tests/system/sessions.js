// The clients: they log in, refresh and log out all the time, and compare each answer with all answers before.
import { setTimeout as sleep } from 'node:timers/promises'
import { USER } from '../js/support/issuer.js'

/** The number of clients. */
const CLIENTS = 8

/** The most sessions of one client. */
const SESSIONS = 3

/** A request without an answer may be at work for this time. The next token is not used before: milliseconds. */
const AT_WORK = 15_000

/** The most sessions of all clients that have ended and are checked at the end. */
const ENDED = 5000

export class Sessions {
  #url
  #ledger
  #random
  #issued
  #isStopping = false
  #running = []
  #live = []
  #ended = []
  /** The number of answers that each client got. */
  progress = Array(CLIENTS).fill(0)

  /** Calls `issued(text, session)` with each access token, and once more after the logout, with the last one. */
  constructor(url, ledger, random, issued) {
    this.#url = url
    this.#ledger = ledger
    this.#random = random
    this.#issued = issued
  }

  start() {
    for (let client = 0; client < CLIENTS; client++) this.#running.push(this.#work(client, this.#random.fork()))
  }

  /** Ends the load. */
  async stop() {
    this.#isStopping = true
    await Promise.all(this.#running)
  }

  /** Checks that each answered change is still there. Nothing else must be at work. */
  async check() {
    await inGroups(this.#live, async (session) => {
      for (let time = 0; time < 2; time++) {
        const answer = await this.#insist(() => this.#refresh(session.refreshToken))
        if (answer.status !== 200) return this.#ledger.violate('lost', `the session lives, but its last token: ${wordsOf(answer)}`)
        session.refreshToken = answer.body.refresh_token
      }
    })
    await inGroups(this.#ended, async (session) => {
      const answer = await this.#insist(() => this.#refresh(session.refreshToken))
      if (answer.body?.error !== 'invalid_grant') this.#ledger.violate('lost', `the session has ended, but its token: ${wordsOf(answer)}`)
    })
  }

  async #work(client, random) {
    let sessions = []
    while (!this.#isStopping) {
      if (sessions.length < SESSIONS) {
        const session = await this.#logIn(client, random)
        if (session !== undefined) sessions.push(session)
      } else {
        const session = random.pick(sessions)
        await this.#use(session, client, random)
        sessions = sessions.filter((one) => one.endingAt === undefined && !one.isLost)
      }
      await sleep(random.between(50, 250))
    }
    this.#live.push(...sessions)
  }

  async #use(session, client, random) {
    if (session.restsUntil > Date.now()) return
    const choice = random.below(100)
    // The issuer may be ahead of a client without an answer: only the same request again tells.
    if (session.isUnsure || choice < 55) await this.#continue(session, client)
    else if (choice < 85) await this.#repeat(session, client)
    else await this.#end(session, client)
  }

  async #logIn(client, random) {
    const network = [10, random.below(256), random.below(256), random.below(256)].join('.')
    const answer = await this.#send(client, '/login', JSON.stringify(USER), 'application/json', { 'x-forwarded-for': network })
    if (answer.status !== 200) {
      this.#noteOther(answer, 'a login')
      return undefined
    }
    this.#ledger.count('logins')
    const session = { refreshToken: answer.body.refresh_token, restsUntil: 0 }
    this.#issued(answer.body.access_token, session)
    return session
  }

  /** Refreshes. Without an answer, the session rests and tries again with the same token. */
  async #continue(session, client) {
    const startedAt = performance.now()
    const answer = await this.#refresh(session.refreshToken, client)
    if (answer.status !== 200) {
      session.isLost = this.#noteOther(answer, 'a refresh')
      session.isUnsure = true
      return
    }
    this.#ledger.count('refreshes')
    this.#ledger.measure('refresh', performance.now() - startedAt)
    if (session.isUnsure) session.restsUntil = Date.now() + AT_WORK
    Object.assign(session, { previous: session.refreshToken, refreshToken: answer.body.refresh_token, isUnsure: false })
    this.#issued(answer.body.access_token, session)
  }

  /** Presents the token before the current one again, as a client that lost the answer, or a second tab. */
  async #repeat(session, client) {
    if (session.previous === undefined) return
    const answer = await this.#refresh(session.previous, client)
    if (answer.status !== 200) {
      session.isLost = this.#noteOther(answer, 'a repeated refresh')
      session.restsUntil = Date.now() + AT_WORK
      return
    }
    this.#ledger.count('repetitions')
    if (answer.body.refresh_token !== session.refreshToken) this.#ledger.violate('doubled', 'the repetition of a refresh got another successor')
  }

  /** Logs out, and asks until there is an answer. */
  async #end(session, client) {
    session.endingAt = Date.now()
    const answer = await this.#insist(() => this.#post(client, '/logout', { refresh_token: session.refreshToken }))
    if (answer.status !== 204) {
      // At the end of the run nobody knows.
      if (!this.#isStopping) this.#noteOther(answer, 'a logout')
      return
    }
    this.#ledger.count('logouts')
    session.endedAt = Date.now()
    this.#ended.push(session)
    if (this.#ended.length > ENDED) this.#ended.shift()
    this.#issued(undefined, session)
  }

  #refresh(token, client) {
    return this.#post(client, '/token', { grant_type: 'refresh_token', refresh_token: token })
  }

  #post(client, path, form) {
    return this.#send(client, path, new URLSearchParams(form).toString(), 'application/x-www-form-urlencoded')
  }

  /** Returns the status and the body; the status is 0 without an answer. */
  async #send(client, path, body, type, headers = {}) {
    try {
      const init = { method: 'POST', body, headers: { ...headers, 'content-type': type }, signal: AbortSignal.timeout(10_000) }
      const response = await fetch(this.#url + path, init)
      const text = await response.text()
      if (client !== undefined && response.status < 429) this.progress[client]++
      return { status: response.status, body: text.startsWith('{') ? JSON.parse(text) : undefined }
    } catch {
      return { status: 0 }
    }
  }

  async #insist(request) {
    let answer
    for (let attempt = 0; attempt < 100; attempt++) {
      answer = await request()
      if (!isLater(answer)) break
      this.#ledger.countUnanswered()
      await sleep(300)
    }
    return answer
  }

  /** Returns true if an answered change is lost. */
  #noteOther(answer, request) {
    if (isLater(answer)) {
      this.#ledger.countUnanswered()
      return false
    }
    this.#ledger.violate('lost', `${request}: ${wordsOf(answer)}`)
    return true
  }
}

function isLater({ status }) {
  return status === 0 || status === 429 || status === 503
}

/** A body may have tokens. */
function wordsOf({ status, body }) {
  return `${status || 'no answer'} ${body?.error ?? ''}`
}

async function inGroups(items, work) {
  for (let start = 0; start < items.length; start += 8) await Promise.all(items.slice(start, start + 8).map(work))
}
