import assert from 'node:assert/strict'
import { after, afterEach, before, beforeEach, describe, test } from 'node:test'
import { launchChromium, skipChromium } from '../runtimes/chromium.js'
import { makeKey } from '../js/package-tokens.js'
import { startDemo } from '../js/support/demo.js'
import { USER } from '../js/support/issuer.js'

const MINUTE_MS = 60_000

/** The forgeries, with the code and stage of their refusal. */
const FORGERIES = [
  ['payload-subject', 'signature_invalid', 'signature'],
  ['payload-expiry', 'signature_invalid', 'signature'],
  ['signature-bit', 'signature_invalid', 'signature'],
  ['signature-none', 'token_malformed', 'parse'],
  ['alg-none', 'algorithm_not_allowed', 'header'],
  ['alg-hs256', 'algorithm_not_allowed', 'header'],
  ['kid-unknown', 'key_not_found', 'key'],
  ['type-jwt', 'type_mismatch', 'header'],
]

describe('the demo page in Chromium', { skip: skipChromium }, () => {
  let demo, browser, page, problems

  before(async () => {
    demo = await startDemo()
    browser = await launchChromium()
  })

  after(async () => {
    await browser?.close()
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
    await page.goto(demo.page)
    await page.locator('#keys li').first().waitFor()
  })

  afterEach(async () => {
    await page.close()
    assert.deepEqual(problems, [])
  })

  const code = () => page.locator('#code').textContent()
  const encoded = () => page.locator('#encoded').textContent()
  const waitForCode = (expected) => page.locator('#code', { hasText: new RegExp(`^${expected}$`) }).waitFor()

  /** Presses the button and returns the issuer's JSON response on this path. */
  async function press(button, path) {
    const [response] = await Promise.all([
      page.waitForResponse((seen) => new URL(seen.url()).pathname === path && seen.request().method() === 'POST'),
      page.click(button),
    ])
    return response.status() === 200 ? response.json() : undefined
  }

  async function logIn() {
    const tokens = await press('#login', '/login')
    await waitForCode('ok')
    return tokens
  }

  test('a login shows the token, its parts, the verdict and the time it took', async () => {
    const { access_token: token } = await logIn()
    assert.equal(await page.locator('#demo-username').textContent(), USER.username)
    assert.equal(await page.locator('#demo-password').textContent(), USER.password)
    assert.equal(await encoded(), token)
    assert.match(await page.locator('#verdict').textContent(), /^Accepted/)
    assert.equal(await page.locator('.stages .passed').count(), 5)
    assert.match(await page.locator('section.header').textContent(), /"RS256".*"at\+jwt"|"at\+jwt".*"RS256"/)
    assert.match(await page.locator('section.payload').textContent(), new RegExp(`"${demo.issuer.url}"`))
    assert.match(await page.locator('section.signature').textContent(), /256 bytes/)
    await page.locator('#microseconds').waitFor()
    assert.match(await page.locator('#microseconds').textContent(), /^[\d.,]+ µs$/)
  })

  test('every forgery is shown and refused with its code, and can be undone', async () => {
    const { access_token: token } = await logIn()
    for (const [id, expectedCode, expectedStage] of FORGERIES) {
      await page.click(`#${id}`)
      await waitForCode(expectedCode)
      assert.equal(await page.locator('#stage').textContent(), expectedStage, id)
      assert.match(await page.locator('#verdict').textContent(), /^Refused/, id)
      assert.equal(await page.locator('.stages .failed .name').textContent(), expectedStage, id)
      assert.equal(await page.locator(`#${id}`).getAttribute('aria-pressed'), 'true', id)
      assert.ok((await page.locator('#encoded mark').count()) > 0, `${id}: the change is marked`)

      await page.click('#restore')
      await waitForCode('ok')
      assert.equal(await encoded(), token, id)
      assert.equal(await page.locator('#encoded mark').count(), 0, id)
    }
    assert.equal(await page.locator('#tamper button').count(), FORGERIES.length, 'each button has its case here')
  })

  test('a refresh, by the button or by the page in time, shows the new token', async () => {
    await page.clock.install()
    await page.reload()
    await logIn()
    const { access_token: second } = await press('#refresh', '/token')
    await page.locator('#session .current', { hasText: 'No. 2 in hand' }).waitFor()
    assert.equal(await encoded(), second)
    await page.clock.fastForward(12 * MINUTE_MS)
    await page.locator('#session .current', { hasText: 'No. 3 in hand' }).waitFor()
    assert.notEqual(await encoded(), second)
    assert.equal(await code(), 'ok')
    // The page goes by the issuer's clock, which did not move.
    assert.match(await page.locator('#countdown .time').textContent(), /^1[45]:\d\d$/)
  })

  test('if the issuer is away, the page shows the expiry of the token, and gets another one once it is back', async () => {
    await page.clock.install()
    await page.reload()
    await logIn()
    assert.match(await page.locator('#countdown .time').textContent(), /^1[45]:\d\d$/)
    const tokenEndpoint = `${demo.issuer.url}/token`
    await page.route(tokenEndpoint, (route) => route.abort())

    await page.clock.fastForward(14 * MINUTE_MS)
    assert.equal(await code(), 'ok')
    await page.clock.fastForward(MINUTE_MS + 1000)
    await waitForCode('token_expired')
    assert.equal(await page.locator('#stage').textContent(), 'claims')
    assert.equal(await page.locator('#countdown .time').textContent(), 'Expired')
    assert.match(await page.locator('#notice').textContent(), /did not answer/)

    // The forgery is still refused for its signature, which is checked before the claims.
    await page.click('#payload-expiry')
    await waitForCode('signature_invalid')

    await page.unroute(tokenEndpoint)
    await page.clock.runFor(MINUTE_MS)
    await page.locator('#session .current', { hasText: 'No. 2 in hand' }).waitFor()
    await waitForCode('ok')
    // Up to the whole minute has passed since.
    assert.match(await page.locator('#countdown .time').textContent(), /^1[345]:\d\d$/)
    expectProblems(/ERR_FAILED/)
  })

  test('a logout ends the session: its refresh token is refused', async () => {
    const { refresh_token: refreshToken } = await logIn()
    await press('#logout', '/logout')
    await page.locator('#login').waitFor()
    assert.match(await page.locator('#notice').textContent(), /session has ended/)
    assert.equal(await page.locator('#encoded').isVisible(), false)

    const answer = await fetch(`${demo.issuer.url}/token`, {
      method: 'POST',
      body: new URLSearchParams({ grant_type: 'refresh_token', refresh_token: refreshToken }),
    })
    assert.equal(answer.status, 400)
    assert.equal((await answer.json()).error, 'invalid_grant')
  })

  test('the page returns to the login if the session ended elsewhere', async () => {
    const { refresh_token: refreshToken } = await logIn()
    const ended = await fetch(`${demo.issuer.url}/logout`, { method: 'POST', body: new URLSearchParams({ refresh_token: refreshToken }) })
    assert.equal(ended.status, 204)
    await page.click('#refresh')
    await page.locator('#login').waitFor()
    assert.match(await page.locator('#notice').textContent(), /session is over/)
    expectProblems(/400/)
  })

  test('a wrong password is reported in words', async () => {
    await page.fill('#password', 'wrong')
    await page.click('#login')
    await page.locator('.notice.error').waitFor()
    assert.match(await page.locator('#notice').textContent(), /user name or the password is wrong/)
    expectProblems(/401/)
  })

  test('an issuer that is down is reported in words, with a remedy', async () => {
    await page.route(`${demo.issuer.url}/login`, (route) => route.abort())
    await page.click('#login')
    await page.locator('.notice.error').waitFor()
    assert.match(await page.locator('#notice').textContent(), /did not answer.*cargo xtask start/)
    expectProblems(/ERR_FAILED/)
  })

  test('if the issuer is down when the page loads, the page says so, and shows the keys once it is back', async () => {
    await page.clock.install()
    const keySet = `${demo.issuer.url}/.well-known/jwks.json`
    await page.route(keySet, (route) => route.abort())
    await page.reload()
    await page.locator('#keys .error').waitFor()
    assert.match(await page.locator('#keys').textContent(), /could not be fetched/)
    await page.unroute(keySet)
    await page.clock.runFor(6000)
    await page.locator('#keys [data-kid]').first().waitFor()
    expectProblems(/ERR_FAILED/)
  })

  test('a throttled login says when to try again', async () => {
    await page.route(`${demo.issuer.url}/login`, (route) => {
      if (route.request().method() !== 'POST') return route.continue()
      const headers = { 'access-control-allow-origin': demo.page, 'access-control-expose-headers': 'Retry-After', 'retry-after': '7' }
      return route.fulfill({ status: 429, headers, json: { error: 'slow_down' } })
    })
    await page.click('#login')
    await page.locator('.notice.error').waitFor()
    assert.match(await page.locator('#notice').textContent(), /Try again in 7 s/)
    expectProblems(/429/)
  })

  test('the page works with the keyboard alone', async () => {
    await page.locator('#password').focus()
    await page.keyboard.press('Enter')
    await waitForCode('ok')
    await tabTo('signature-bit')
    await page.keyboard.press('Space')
    await waitForCode('signature_invalid')
    await tabTo('restore')
    await page.keyboard.press('Enter')
    await waitForCode('ok')
    assert.equal(await page.evaluate(() => document.activeElement.id), 'signature-bit', 'the focus is not lost')
  })

  test('the keys are shown with their states, and the one that signed is marked', async () => {
    await logIn()
    const states = JSON.parse(await demo.issuer.run(['keys', 'list', '--json']))
    for (const { kid, state } of states) {
      const key = page.locator(`#keys [data-kid="${kid}"]`)
      assert.equal(await key.locator('.state').textContent(), state)
      assert.equal(await key.locator('.life .now .stop').textContent(), state)
    }
    const { kid } = states.find(({ state }) => state === 'active')
    await page.locator(`#keys [data-kid="${kid}"] .signed`).waitFor()
    assert.equal(await page.locator('#keys .signed').count(), 1)
  })

  test('a token is refused once the issuer has revoked its key', async () => {
    await page.clock.install()
    await page.reload()
    await logIn()
    const { jwk } = makeKey('the-next-key')
    const answer = { status: 200, headers: { 'access-control-allow-origin': demo.page }, json: { keys: [jwk] } }
    await page.route(`${demo.issuer.url}/.well-known/jwks.json`, (route) => route.fulfill(answer))
    await page.clock.runFor(6000)
    await waitForCode('key_not_found')
    assert.deepEqual(await page.locator('#keys [data-kid]').evaluateAll((keys) => keys.map(({ dataset }) => dataset.kid)), [jwk.kid])
  })

  test('every control has a name, and every id is unique', async () => {
    await logIn()
    const faults = await page.evaluate(() => {
      const nameless = [...document.querySelectorAll('button, input')].filter(
        (control) => !(control.getAttribute('aria-label') ?? control.labels?.[0]?.textContent ?? control.textContent).trim(),
      )
      const ids = [...document.querySelectorAll('[id]')].map(({ id }) => id)
      const pointing = [...document.querySelectorAll('[aria-labelledby]')].filter(
        (element) => document.getElementById(element.getAttribute('aria-labelledby')) === null,
      )
      return { nameless: nameless.map(({ id }) => id), twice: ids.filter((id, i) => ids.indexOf(id) !== i), pointing: pointing.length }
    })
    assert.deepEqual(faults, { nameless: [], twice: [], pointing: 0 })
  })

  test('nothing overflows a narrow screen', async () => {
    await page.setViewportSize({ width: 360, height: 780 })
    assert.equal(await overflow(), 0)
    await logIn()
    await page.click('#payload-subject')
    await waitForCode('signature_invalid')
    assert.equal(await overflow(), 0)
  })

  test('a foreign script does not run', async () => {
    await page.evaluate(() => {
      const script = document.createElement('script')
      script.textContent = 'document.title = "taken over"'
      document.body.append(script)
    })
    assert.notEqual(await page.title(), 'taken over')
    expectProblems(/Content Security Policy/)
  })

  const overflow = () => page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)

  /** Checks that the console reported only the failed requests that the test caused. */
  function expectProblems(pattern) {
    assert.ok(problems.length > 0, 'the browser reported nothing')
    for (const problem of problems.splice(0)) assert.match(problem, pattern)
  }

  async function tabTo(id) {
    for (let presses = 0; presses < 40; presses += 1) {
      await page.keyboard.press('Tab')
      if ((await page.evaluate(() => document.activeElement.id)) === id) return
    }
    assert.fail(`Tab does not reach #${id}`)
  }
})
