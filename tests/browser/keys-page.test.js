// The page Keys in Chromium: on a site without an issuer, and with the demo's.
import assert from 'node:assert/strict'
import { after, afterEach, before, beforeEach, describe, test } from 'node:test'
import { launchChromium, skipChromium } from '../runtimes/chromium.js'
import { startDemo } from '../js/support/demo.js'
import { serveSite } from './static-site.js'

describe('the page Keys', { skip: skipChromium }, () => {
  let browser, site, demo, page, problems

  before(async () => {
    browser = await launchChromium()
    site = await serveSite()
    demo = await startDemo()
  })

  after(async () => {
    await browser?.close()
    site?.stop()
    await site?.remove()
    await demo?.stop()
  })

  beforeEach(async () => {
    page = await browser.newPage()
    page.setDefaultTimeout(15_000)
    problems = []
    // The browser also logs violations of the Content-Security-Policy.
    page.on('console', (message) => {
      if (['error', 'warning'].includes(message.type())) problems.push(`${message.text()} ${message.location().url}`)
    })
    page.on('pageerror', (error) => problems.push(String(error)))
  })

  afterEach(async () => {
    await page.close()
    assert.deepEqual(problems, [])
  })

  async function open(address) {
    await page.goto(new URL('keys.html', address).href)
    await page.locator('#set .key-set li').first().waitFor()
  }

  /** The states in the table, and those in the drawing: each key's, and the phase that the present is in. */
  const states = () => page.locator('#table tbody .is').allTextContents()
  const drawn = () => page.locator('#timeline .key').evaluateAll((keys) => keys.map((key) => [key.dataset.state, key.querySelector('.phase.now text')?.textContent]))
  const move = (name, index) => page.locator(`#slider-${name}`).fill(String(index))
  const overflow = () => page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)

  test('the example has a key in each state, in the drawing, the table and the key set', async () => {
    await open(site.url)
    const expected = ['retiring', 'active', 'published', 'to come', 'to come', 'to come']
    assert.deepEqual(await states(), expected)
    assert.deepEqual(
      (await drawn()).map(([state]) => state),
      expected,
    )
    assert.deepEqual((await drawn()).slice(1, 3), [['active', 'active'], ['published', 'published']])
    await page.locator('#set li').nth(2).waitFor()
    assert.deepEqual(await page.locator('#set .state').allTextContents(), expected.slice(0, 3))
    assert.deepEqual(await page.locator('#set .verdict').allTextContents(), ['usable', 'usable', 'usable'])
    assert.equal(await page.locator('#choice').isVisible(), false)
  })

  test('the sliders change the plan, the intervals and the configuration', async () => {
    await open(site.url)
    const lag = page.locator('#reasons [data-sum=lag]')
    assert.match(await lag.textContent(), /stays 21 minutes 30 seconds after.*15 minutes access_ttl.*5 minutes jwks_max_age.*1 minute clock_skew/)
    await move('access_ttl', 9)
    assert.match(await lag.textContent(), /stays 2 hours 6 minutes after.*2 hours access_ttl/)
    assert.equal((await states()).filter((state) => state === 'retiring').length, 2, 'longer tokens, more retiring keys')
    assert.match(await page.locator('#toml').textContent(), /access_ttl = "2h"/)
    await move('clock_skew', 0)
    assert.match(await page.locator('#reasons [data-sum=lead]').textContent(), /at least 5 minutes 30 seconds before/)
    assert.equal(await page.locator('#slider-clock_skew').getAttribute('aria-valuetext'), '0 seconds')
    await page.click('#defaults')
    assert.match(await page.locator('#toml').textContent(), /^rotation_period = "30d"\naccess_ttl = "15m"\njwks_max_age = "5m"\nclock_skew = "1m"$/)
  })

  test('the present moves through a period: the key that was replaced goes', async () => {
    await open(site.url)
    await move('present', 0)
    assert.deepEqual((await states()).slice(0, 4), ['gone', 'retiring', 'active', 'published'])
    await move('present', 90)
    assert.deepEqual((await states()).slice(0, 3), ['gone', 'active', 'published'])
    await move('present', 100)
    assert.deepEqual((await states()).slice(0, 4), ['gone', 'retiring', 'active', 'published'], 'the next change')
  })

  test('settings that the issuer refuses are refused, with its reason', async () => {
    await open(site.url)
    await move('rotation_period', 0)
    assert.match(await page.locator('#refusal').textContent(), /rotation_period is 60 s, shorter than jwks_max_age \(300 s\)/)
    await move('rotation_period', 5)
    assert.equal(await page.locator('#refusal').textContent(), '')
  })

  test('the keyboard moves a slider', async () => {
    await open(site.url)
    await page.focus('#slider-rotation_period')
    await page.keyboard.press('ArrowRight')
    assert.match(await page.locator('#toml').textContent(), /rotation_period = "2h"/)
  })

  test('the demo’s issuer shows its own keys and intervals, and the example stays a choice', async () => {
    await open(demo.page)
    const plan = JSON.parse(await demo.issuer.run(['keys', 'plan', '--json']))
    assert.deepEqual(await states(), ['active', 'published', 'to come', 'to come', 'to come'])
    const kids = plan.keys.flatMap(({ kid }) => kid ?? [])
    assert.deepEqual((await page.locator('#set li').evaluateAll((keys) => keys.map(({ dataset }) => dataset.kid))).sort(), [...kids].sort())
    assert.deepEqual(await page.locator('#set .verdict').allTextContents(), ['usable', 'usable'])
    assert.match(await page.locator('#reasons').textContent(), /21 minutes 30 seconds/)
    assert.equal(await page.locator('#settings').isVisible(), false)

    await page.check('[value=example]')
    await page.locator('#settings').waitFor()
    assert.equal((await states())[0], 'retiring')
    await page.check('[value=issuer]')
    await page.locator('#table tbody tr:nth-child(1) .active').waitFor()
    assert.equal(await page.locator('#settings').isVisible(), false)
  })

  test('a key that was revoked leaves the page', async () => {
    await open(demo.page)
    const before = await page.locator('#table .active').locator('xpath=..').getAttribute('data-kid')
    await demo.issuer.run(['keys', 'revoke', before])
    await page.locator(`#table [data-kid="${before}"]`).waitFor({ state: 'detached' })
    await page.locator(`#set [data-kid="${before}"]`).waitFor({ state: 'detached' })
    assert.equal((await states()).filter((state) => state === 'active').length, 1)
  })

  test('every control has a name, every id is unique, and nothing overflows a narrow screen', async () => {
    await page.setViewportSize({ width: 360, height: 780 })
    for (const address of [site.url, demo.page]) {
      await open(address)
      assert.equal(await overflow(), 0)
      const faults = await page.evaluate(() => {
        const nameless = [...document.querySelectorAll('button, input')].filter((control) => !(control.labels?.[0]?.textContent ?? control.textContent).trim())
        const ids = [...document.querySelectorAll('[id]')].map(({ id }) => id)
        return { nameless: nameless.map(({ id }) => id), twice: ids.filter((id, i) => ids.indexOf(id) !== i) }
      })
      assert.deepEqual(faults, { nameless: [], twice: [] })
    }
    const width = (selector) => page.locator(selector).evaluate((element) => element.getBoundingClientRect().width)
    assert.ok((await width('#timeline svg')) <= (await width('#timeline')))
  })
})
