// The page Sessions in Chromium: with the small issuer of a site without one, and with the demo's issuer.
import assert from 'node:assert/strict'
import { after, afterEach, before, beforeEach, describe, test } from 'node:test'
import { launchChromium, skipChromium } from '../runtimes/chromium.js'
import { startDemo } from '../js/support/demo.js'
import { serveSite } from './static-site.js'

/** Starts the site with each kind of issuer. */
const SITES = {
  async 'without an issuer'() {
    const { url, stop, remove } = await serveSite()
    return { page: url, stop: () => (stop(), remove()) }
  },
  'with the demo’s issuer': startDemo,
}

for (const [name, startSite] of Object.entries(SITES)) {
  describe(`the page Sessions ${name}`, { skip: skipChromium }, () => {
    let browser, site, context, page, problems

    before(async () => {
      browser = await launchChromium()
      site = await startSite()
    })

    after(async () => {
      await browser?.close()
      await site?.stop()
    })

    beforeEach(async () => {
      context = await browser.newContext()
      problems = []
      page = await open()
    })

    afterEach(async () => {
      await context.close()
      assert.deepEqual(problems, [])
    })

    async function open() {
      const page = await context.newPage()
      page.setDefaultTimeout(15_000)
      // The browser also logs violations of the Content-Security-Policy.
      page.on('console', (message) => {
        if (['error', 'warning'].includes(message.type())) problems.push(`${message.text()} ${message.location().url}`)
      })
      page.on('pageerror', (error) => problems.push(String(error)))
      await page.goto(new URL('sessions.html', site.page).href)
      return page
    }

    const tab = (number, of = page) => of.frameLocator(`#tab-${number}`)
    const hasStatus = (number, words, of = page) => tab(number, of).locator('#status', { hasText: new RegExp(`^${words}$`) }).waitFor()
    const token = (number) => tab(number).locator('#token').textContent()
    const counts = async () => (await page.locator('.counts dd').allTextContents()).map(Number)

    async function logIn() {
      await hasStatus(2, 'logged out')
      await tab(1).locator('#login').click()
      await hasStatus(1, 'logged in')
      await hasStatus(2, 'logged in')
      await hasNewToken('none')
    }

    /** Waits until both tabs have the same token, another than this one. */
    async function hasNewToken(before) {
      for (;;) {
        const [one, two] = [await token(1), await token(2)]
        if (one === two && one !== before) return one
        await page.waitForTimeout(50)
      }
    }

    test('a login in one tab is one in both, by one request', async () => {
      await logIn()
      assert.deepEqual(await counts(), [1, 0, 1])
      assert.match(await tab(1).locator('#source').textContent(), /from the issuer/)
      assert.match(await tab(2).locator('#source').textContent(), /from another tab/)
      assert.match(await page.locator('#log').textContent(), /Tab 1 asks the issuer: login POST \/login 200/)
      assert.match(await page.locator('#log').textContent(), /Tab 1 tells tab 2: the tokens/)
    })

    test('if the token expires in both tabs, one of them refreshes, and both get the new one', async () => {
      await logIn()
      for (const button of ['#expire', '#sleep']) {
        await page.click('#clear')
        const before = await token(1)
        await page.click(button)
        await hasNewToken(before)
        // The next tab that gets the lock does nothing.
        await page.waitForTimeout(1500)
        assert.deepEqual(await counts(), [1, 1, 1], button)
      }
    })

    test('a logout in one tab ends the other', async () => {
      await logIn()
      await tab(2).locator('#logout').click()
      await hasStatus(1, 'logged out')
      await hasStatus(2, 'logged out')
      assert.match(await page.locator('#log').textContent(), /Tab 2 tells tab 1: the session is over/)
      assert.equal(await token(1), 'none')
    })

    test('a tab that is reloaded gets the session from the other, and no request is made', async () => {
      await logIn()
      await page.click('#clear')
      await tab(2).locator('#reload').click()
      await hasStatus(2, 'logged in')
      await page.locator('#log', { hasText: 'Tab 1 tells tab 2: the tokens' }).waitFor()
      assert.deepEqual(await counts(), [0, 0, 1])
      await page.click('#reload-both')
      await hasStatus(1, 'logged out')
      await hasStatus(2, 'logged out')
    })

    test('offline tabs say so once their token has expired, and refresh once when the machine is back', async () => {
      await logIn()
      await page.click('#offline-switch')
      await page.click('#expire')
      await hasStatus(1, 'offline')
      await hasStatus(2, 'offline')
      assert.equal(await page.locator('#offline-switch').getAttribute('aria-pressed'), 'true')
      await page.click('#clear')
      // The tabs try again meanwhile, in vain.
      await page.waitForTimeout(1500)
      await page.click('#offline-switch')
      await hasStatus(1, 'logged in')
      await hasStatus(2, 'logged in')
      await page.waitForTimeout(1500)
      assert.deepEqual(await counts(), [1, 1, 1])
    })

    test('a real second tab shares the session, and a refresh of it', async () => {
      await logIn()
      const other = await open()
      await hasStatus(1, 'logged in', other)
      await hasStatus(2, 'logged in', other)
      await page.bringToFront()
      await page.click('#clear')
      await tab(1).locator('#logout').click()
      await hasStatus(2, 'logged out', other)
      await tab(2, other).locator('#login').click()
      await hasStatus(1, 'logged in')
    })

    test('every control has a name, and nothing overflows a narrow screen', async () => {
      await page.setViewportSize({ width: 360, height: 780 })
      await logIn()
      for (const part of page.frames()) {
        const faults = await part.evaluate(() => {
          const nameless = [...document.querySelectorAll('button, iframe, progress')].filter(
            (control) => !(control.title || control.textContent.trim() || document.getElementById(control.getAttribute('aria-labelledby'))),
          )
          const { scrollWidth, clientWidth, scrollHeight, clientHeight } = document.documentElement
          return { nameless: nameless.length, wide: scrollWidth - clientWidth, cut: parent === self ? 0 : scrollHeight - clientHeight }
        })
        assert.deepEqual(faults, { nameless: 0, wide: 0, cut: 0 }, part.url())
      }
    })

    if (startSite !== startDemo) {
      test('all of it works without a network', async () => {
        await hasStatus(2, 'logged out')
        await context.setOffline(true)
        await logIn()
        const before = await token(1)
        await page.click('#expire')
        await hasNewToken(before)
      })

      test('without shared workers, the issuer runs in the page', async () => {
        await context.addInitScript(() => delete globalThis.SharedWorker)
        await page.reload()
        assert.equal(await page.locator('#second-tab').textContent(), '')
        await logIn()
        const before = await token(1)
        await page.click('#expire')
        await hasNewToken(before)
      })
    } else {
      test('the issuer gets one refresh for both tabs', async () => {
        const paths = []
        page.on('request', (request) => {
          if (request.url().startsWith(site.issuer.url) && request.method() === 'POST') paths.push(new URL(request.url()).pathname)
        })
        await logIn()
        const before = await token(1)
        await page.click('#expire')
        await hasNewToken(before)
        await page.waitForTimeout(1500)
        assert.deepEqual(paths, ['/login', '/token'])
      })
    }
  })
}
