import assert from 'node:assert/strict'
import { once } from 'node:events'
import { after, afterEach, before, beforeEach, describe, test } from 'node:test'
import { createDemoServer } from '../../www/server.js'
import { launchChromium, skipChromium } from '../runtimes/chromium.js'

describe('the page Race in Chromium', { skip: skipChromium }, () => {
  let server, url, browser, page, problems

  before(async () => {
    // The page does not use the issuer.
    server = await createDemoServer({ issuer: 'https://auth.example', audience: 'api', username: 'demo', password: 'not a secret', keysCommand: ['true'], planCommand: ['true'] })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    // The server redirects to the name under which it wants to be seen.
    url = new URL((await fetch(`http://127.0.0.1:${server.address().port}`)).url).origin
    browser = await launchChromium()
  })

  after(async () => {
    await browser?.close()
    server?.close()
    server?.closeAllConnections()
  })

  beforeEach(() => open())

  afterEach(async () => {
    await page.context().close()
    assert.deepEqual(problems, [])
  })

  async function open(options = {}) {
    await page?.context().close()
    const context = await browser.newContext(options)
    page = await context.newPage()
    page.setDefaultTimeout(90_000)
    problems = []
    // The browser also logs violations of the Content-Security-Policy.
    page.on('console', (message) => {
      if (['error', 'warning'].includes(message.type())) problems.push(`${message.text()} ${message.location().url}`)
    })
    page.on('pageerror', (error) => problems.push(String(error)))
    await page.goto(`${url}/race.html`)
    await page.locator('#start:enabled').waitFor()
  }

  const shares = () => page.locator('.fill').evaluateAll((fills) => fills.map((fill) => Number(fill.style.getPropertyValue('--share'))))
  const lane = (name) => page.locator(`[data-lane="${name}"] .figures`).textContent()

  async function runShort() {
    await page.selectOption('#length', '2000')
    await page.click('#start')
    await page.locator('#notice', { hasText: /The fastest is/ }).waitFor()
  }

  test('a short race moves three bars, and gives figures for each', async () => {
    await runShort()
    const all = await shares()
    assert.equal(all.length, 3)
    assert.equal(Math.max(...all), 1)
    assert.ok(all.every((share) => share > 0))
    for (const name of ['countersign', 'WebCrypto', 'jose']) assert.match(await lane(name), /^[\d.,]+ µs a token · [\d,]+ a second · [\d,]+ verified/)
    for (const name of ['WebCrypto', 'jose']) assert.match(await lane(name), /[\d.]+ × the time$/)
    assert.match(await page.locator('#notice').textContent(), /WebCrypto takes [\d.]+ times as long as countersign, jose takes [\d.]+ times/)
    assert.equal(await page.locator('#start').isVisible(), true)
  })

  test('the page says which kernel computes', async () => {
    assert.match(await page.locator('#kernel').textContent(), /its (relaxed|portable) kernel here: .*\(countersign(\.relaxed)?\.wasm\)/)
  })

  test('a race can be stopped, and the keyboard keeps its place', async () => {
    await page.selectOption('#length', '200000')
    await page.locator('#start').focus()
    await page.keyboard.press('Enter')
    await page.locator('#notice', { hasText: /The race is on/ }).waitFor()
    assert.equal(await page.evaluate(() => document.activeElement.id), 'stop')
    await page.waitForFunction(() => document.querySelector('.figures').textContent !== '–')
    await page.keyboard.press('Enter')
    await page.locator('#notice', { hasText: /The fastest is|Stopped/ }).waitFor()
    assert.equal(await page.evaluate(() => document.activeElement.id), 'start')
    assert.ok(Math.max(...(await shares())) < 1)
  })

  test('16 tokens at once have their results too, without a network', async () => {
    await page.waitForLoadState('networkidle')
    await page.context().setOffline(true)
    await page.selectOption('#at-once', '16')
    await runShort()
    assert.match(await lane('jose'), /a token/)
  })

  test('the race pauses while the tab is hidden', async () => {
    await page.selectOption('#length', '200000')
    await page.click('#start')
    await page.waitForFunction(() => document.querySelector('.figures').textContent !== '–')
    await page.evaluate(() => {
      Object.defineProperty(document, 'hidden', { configurable: true, value: true })
      // Browsers give a hidden tab no frames.
      globalThis.requestAnimationFrame = () => 0
      document.dispatchEvent(new Event('visibilitychange'))
    })
    await page.locator('#notice', { hasText: /^Paused/ }).waitFor()
    const paused = await shares()
    await page.waitForTimeout(300)
    assert.deepEqual(await shares(), paused)
  })

  test('with reduced motion the bars move in few steps', async () => {
    await open({ reducedMotion: 'reduce' })
    await page.evaluate(() => {
      globalThis.steps = 0
      new MutationObserver(() => (globalThis.steps += 1)).observe(document.querySelector('.fill'), { attributes: true })
    })
    await runShort()
    const steps = await page.evaluate(() => globalThis.steps)
    assert.ok(steps >= 2 && steps <= 6, `${steps}`)
  })

  test('every control has a name, and nothing overflows a narrow screen', async () => {
    await page.setViewportSize({ width: 360, height: 780 })
    await runShort()
    const faults = await page.evaluate(() => ({
      nameless: [...document.querySelectorAll('button, select')].filter((control) => !(control.labels?.[0]?.textContent ?? control.textContent).trim()).length,
      overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    }))
    assert.deepEqual(faults, { nameless: 0, overflow: 0 })
  })
})
