// A browser with a session of `countersign/session` in several tabs. It is logged in all the time.
import { setTimeout as sleep } from 'node:timers/promises'
import { servePages, startBrowser } from '../browser/session-browsers.js'
import { USER } from '../js/support/issuer.js'

const TABS = 3

/** The states in which a session has not ended. */
const LIVES = ['active', 'offline', 'issuer_unavailable']

export class Browser {
  #pages
  #browser
  #tabs = []
  #isStopping = false
  #running

  /** Serves the page, whose origin the issuers must admit. */
  static async start() {
    const browser = new Browser()
    browser.#pages = await servePages()
    return browser
  }

  get origin() {
    return this.#pages.url
  }

  /** Opens the tabs, and lets them ask for tokens. Calls `issued(text, session)` with each. */
  async open(issuer, ledger, issued) {
    this.#browser = await startBrowser('chromium', this.#pages)
    for (let count = 0; count < TABS; count++) this.#tabs.push(await this.#browser.open({ issuer, mode: 'memory' }))
    await this.#tabs[0].run((user) => session.login(user), USER)
    const owner = {}
    this.#running = Promise.all(this.#tabs.map((tab) => this.#use(tab, ledger, (text) => issued(text, owner))))
  }

  async stopLoad() {
    this.#isStopping = true
    await this.#running
  }

  async stop() {
    await this.#browser?.close()
    this.#pages.close()
  }

  async #use(tab, ledger, issued) {
    let last
    while (!this.#isStopping) {
      const { token, status } = await tab.run(async () => {
        const token = await session.accessToken().catch(() => undefined)
        return { token, status: session.state.status }
      })
      if (token !== undefined && token !== last) {
        issued(token)
        ledger.count('tokens of tabs')
        last = token
      }
      if (token === undefined && LIVES.includes(status)) ledger.countUnanswered()
      if (!LIVES.includes(status)) {
        ledger.violate('lost', `the session of the browser has ended by itself: ${status}`)
        return
      }
      await sleep(500)
    }
  }
}
