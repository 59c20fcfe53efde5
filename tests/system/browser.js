// Browsers with sessions of `countersign/session` in several tabs. They are logged in all the time.
import { setTimeout as sleep } from 'node:timers/promises'
import { servePages, startBrowser } from '../browser/session-browsers.js'
import { USER } from '../js/support/issuer.js'

/** Each has a session of its own. */
const MODES = ['memory', 'cookie']

/** The tabs of each session. */
const TABS = 2

/** The states in which a session has not ended. */
const LIVES = ['active', 'offline', 'issuer_unavailable']

export class Browser {
  #pages
  #browsers = []
  #isStopping = false
  #running = []

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
    for (const mode of MODES) {
      const browser = await startBrowser('chromium', this.#pages)
      this.#browsers.push(browser)
      const tabs = []
      for (let count = 0; count < TABS; count++) tabs.push(await browser.open({ issuer, mode }))
      await tabs[0].run((user) => session.login(user), USER)
      const owner = {}
      this.#running.push(...tabs.map((tab) => this.#use(tab, mode, ledger, (text) => issued(text, owner))))
    }
  }

  async stopLoad() {
    this.#isStopping = true
    await Promise.all(this.#running)
  }

  async stop() {
    await Promise.all(this.#browsers.map((browser) => browser.close()))
    this.#pages.close()
  }

  async #use(tab, mode, ledger, issued) {
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
        ledger.violate('lost', `the session of the browser, in the mode ${mode}, has ended by itself: ${status}`)
        return
      }
      await sleep(500)
    }
  }
}
