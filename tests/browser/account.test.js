// The account page of the demo in Chromium, with the real issuer and a virtual authenticator.
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { after, afterEach, before, beforeEach, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import decodeQR from 'qr/decode.js'
import { launchChromium, skipChromium } from '../runtimes/chromium.js'
import { startDemo } from '../js/support/demo.js'
import { codesOf } from '../js/support/totp.js'

const PASSWORD = 'not a secret: for tests alone'
const CODES = 10

/** The responses by which the issuer asks for a code, a fresh authentication, or refuses a wrong code or password. */
const EXPECTED = /status of 40[01]/

describe('the account page in Chromium', { skip: skipChromium }, () => {
  let demo, browser, page, problems, username
  let users = 0

  before(async () => {
    demo = await startDemo()
    browser = await launchChromium()
  })

  after(async () => {
    await browser?.close()
    await demo?.stop()
  })

  beforeEach(async () => {
    username = `user${++users}`
    await demo.issuer.run(['user', 'add', username], `${PASSWORD}\n`)
    page = await open('account.html')
  })

  afterEach(async () => {
    await page.context().close()
    assert.deepEqual(problems.filter((problem) => !EXPECTED.test(problem)), [])
  })

  /** Opens a page of the demo, with an authenticator whose user says yes. */
  async function open(path, options = {}) {
    const context = await browser.newContext(options)
    const opened = await context.newPage()
    opened.setDefaultTimeout(30_000)
    problems = []
    opened.on('console', (message) => ['error', 'warning'].includes(message.type()) && problems.push(`${message.text()} ${message.location().url}`))
    opened.on('pageerror', (error) => problems.push(String(error)))
    const devtools = await context.newCDPSession(opened)
    await devtools.send('WebAuthn.enable')
    const authenticator = {
      protocol: 'ctap2', transport: 'internal', hasResidentKey: true, hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true,
    }
    await devtools.send('WebAuthn.addVirtualAuthenticator', { options: authenticator })
    await opened.goto(`${demo.page}/${path}`)
    await opened.locator('[data-session=out]').waitFor()
    return opened
  }

  const dialog = () => page.locator('dialog').last()
  const press = (name) => dialog().getByRole('button', { name, exact: true }).click()
  const says = (text) => page.locator('#notice', { hasText: text }).waitFor()
  const refuses = (text) => dialog().locator('[role=alert]', { hasText: text }).waitFor()
  const titled = (title) => page.locator('dialog h2', { hasText: title }).waitFor()

  async function fillIn(password = PASSWORD) {
    await page.fill('#username', username)
    await page.fill('#password', password)
    await page.click('#login')
  }

  async function logIn(password) {
    await fillIn(password)
    await page.locator('#logout').waitFor()
  }

  async function logOut() {
    await page.click('#logout')
    await page.locator('#login').waitFor()
  }

  /** Sets up an app. Returns a function that makes its codes. */
  async function setUpApp() {
    await page.click('#set-up-totp')
    const secret = (await page.locator('dialog .secret code').textContent()).replaceAll(' ', '')
    const nextCode = codesOf(secret)
    await dialog().getByLabel('Code of the app').fill(nextCode())
    await press('Confirm')
    await titled('Your recovery codes')
    return nextCode
  }

  async function keepCodes() {
    await titled('Your recovery codes')
    const codes = await page.locator('dialog .codes li').allTextContents()
    await press('I have kept them')
    return codes
  }

  async function addPasskey(name) {
    await page.click('#add-passkey')
    await dialog().getByLabel('Name').fill(name)
    await press('Add')
  }

  test('an app is set up by its picture, and the next login asks for its code', async () => {
    await logIn()
    await page.click('#set-up-totp')
    const uri = new URL(decodeQR(await pictureOf(page.locator('dialog .qr path'))))
    const secret = (await page.locator('dialog .secret code').textContent()).replaceAll(' ', '')
    assert.deepEqual([uri.protocol, uri.searchParams.get('secret')], ['otpauth:', secret])
    await dialog().getByLabel('Code of the app').fill('000000')
    await press('Confirm')
    await refuses(/code/i)
    const nextCode = codesOf(secret)
    await dialog().getByLabel('Code of the app').fill(nextCode().replace(/(...)/, '$1 '))
    await press('Confirm')
    const codes = await keepCodes()
    assert.equal(new Set(codes).size, CODES)
    await says('The app is set up')
    await page.locator('#recovery', { hasText: `${CODES} of ${CODES} are left` }).waitFor()

    await logOut()
    await fillIn()
    await titled('Second factor')
    await dialog().getByLabel('Code of the app').fill('000000')
    await press('Continue')
    await refuses(/wrong/)
    await dialog().getByLabel('Code of the app').fill(nextCode())
    await press('Continue')
    await page.locator('#logout').waitFor()

    await logOut()
    await fillIn()
    await press('Use a recovery code')
    await dialog().getByLabel('Recovery code').fill(codes[0])
    await press('Continue')
    await page.locator('#recovery', { hasText: `${CODES - 1} of ${CODES} are left` }).waitFor()
  })

  test('recovery codes are made anew, copied and printed alone', async () => {
    await page.context().grantPermissions(['clipboard-read', 'clipboard-write'], { origin: demo.page })
    await logIn()
    await setUpApp()
    const first = await keepCodes()
    await page.click('#renew-codes')
    await titled('Your recovery codes')
    await press('Copy')
    await dialog().locator('[role=status]', { hasText: 'Copied' }).waitFor()
    await page.emulateMedia({ media: 'print' })
    assert.deepEqual([await page.locator('h1').isVisible(), await page.locator('dialog .codes').isVisible()], [false, true])
    await page.emulateMedia({ media: 'screen' })
    const copied = await page.evaluate(() => navigator.clipboard.readText())
    const second = await keepCodes()
    assert.equal(copied, second.join('\n'))
    assert.deepEqual(second.filter((code) => first.includes(code)), [])
    await says('are new')
  })

  test('an app is removed, and then a login asks for the password alone', async () => {
    await logIn()
    await setUpApp()
    await keepCodes()
    await page.click('#remove-totp')
    await press('Cancel')
    await page.click('#remove-totp')
    await press('Remove')
    await says('The app is removed')
    await logOut()
    await logIn()
    await page.locator('#totp', { hasText: 'Not set up' }).waitFor()
  })

  test('a passkey is added, named and removed, and logs in alone', async () => {
    await logIn()
    await addPasskey('Laptop')
    await keepCodes()
    await says('“Laptop” can log you in')
    await addPasskey('Laptop again')
    await refuses('has a passkey for this account already')
    await press('Cancel')

    await page.getByRole('button', { name: 'Rename Laptop' }).click()
    await dialog().getByLabel('Name').fill('Desk')
    await press('Rename')
    await says('now called “Desk”')

    await page.click('#logout')
    // The browser suggests it in the field for the name, and the virtual authenticator takes it at once.
    await page.locator('#passkeys li', { hasText: 'last used' }).waitFor()

    await page.getByRole('button', { name: 'Remove Desk' }).click()
    await press('Remove')
    await says('“Desk” is removed')
    await page.locator('#passkeys', { hasText: 'None yet' }).waitFor()
    await logOut()
    await page.locator('.notice.error', { hasText: 'does not know this passkey' }).waitFor()
    await page.click('#login-passkey')
    await page.locator('.notice.error', { hasText: 'does not know this passkey' }).waitFor()
  })

  test('for a change, the issuer can want a fresh login', async () => {
    await logIn()
    const nextCode = await setUpApp()
    await keepCodes()
    // Ten minutes have passed.
    let asked = 0
    const stale = { error: 'insufficient_user_authentication', error_description: 'the last authentication is too old', max_age: 600 }
    await page.route(`${demo.issuer.url}/recovery-codes`, (route) => {
      if (route.request().method() !== 'POST' || asked++ > 0) return route.continue()
      return route.fulfill({ status: 401, headers: { 'access-control-allow-origin': demo.page }, json: stale })
    })
    await page.click('#renew-codes')
    await titled('Confirm that it is you')
    await dialog().getByLabel('Password').fill('wrong')
    await press('Continue')
    await refuses(/password is wrong/)
    await dialog().getByLabel('Password').fill(PASSWORD)
    await press('Continue')
    await titled('Second factor')
    await dialog().getByLabel('Code of the app').fill(nextCode())
    await press('Continue')
    await titled('Your recovery codes')
    assert.equal(asked, 2)
  })

  test('a change of the password wants the current one, and ends the other sessions', async () => {
    await logIn()
    const other = await login(demo.issuer.url, username, PASSWORD)
    await page.reload()
    await logIn()
    assert.equal(await page.locator('#sessions li').count(), 3)
    const change = async (current, next) => {
      await page.fill('#current-password', current)
      await page.fill('#new-password', next)
      await page.click('#change-password')
    }
    await change('wrong', `${PASSWORD}, another one`)
    await says('The current password is wrong')
    await change(PASSWORD, 'short')
    await page.locator('.notice.error', { hasText: /password/i }).waitFor()
    await change(PASSWORD, `${PASSWORD}, another one`)
    await says('The password is changed')
    assert.equal(await page.locator('#sessions li').count(), 1)
    assert.equal((await refresh(demo.issuer.url, other)).status, 400)
    await logOut()
    await logIn(`${PASSWORD}, another one`)
  })

  test('another session is ended, and its refresh token with it', async () => {
    const other = await login(demo.issuer.url, username, PASSWORD)
    await logIn()
    await page.getByRole('button', { name: /^End the session/ }).click()
    await press('End it')
    await says('The session has ended')
    assert.deepEqual(await page.locator('#sessions .current').allTextContents(), ['This session'])
    assert.equal((await refresh(demo.issuer.url, other)).status, 400)
    // The focus was on a button that is gone.
    assert.equal(await page.evaluate(() => document.activeElement.id), 'sessions-title')
  })

  test('the first page of the demo logs in with a second factor too', async () => {
    await logIn()
    const nextCode = await setUpApp()
    await keepCodes()
    await page.goto(demo.page)
    await page.locator('[data-session=out]').waitFor()
    await fillIn()
    await titled('Second factor')
    await page.keyboard.press('Escape')
    assert.equal(await page.evaluate(() => document.activeElement.id), 'login')
    await page.click('#login')
    await dialog().getByLabel('Code of the app').fill(nextCode())
    await page.keyboard.press('Enter')
    await page.locator('#code', { hasText: /^ok$/ }).waitFor()
  })

  test('the page works with the keyboard alone, and dialogs return the focus', async () => {
    await page.fill('#username', username)
    await page.fill('#password', PASSWORD)
    await page.keyboard.press('Enter')
    await page.locator('#logout:focus').waitFor()
    await tabTo('set-up-totp')
    await page.keyboard.press('Enter')
    await titled('Set up an authenticator app')
    await page.keyboard.press('Escape')
    await page.locator('#set-up-totp:not([aria-busy])').waitFor()
    assert.equal(await page.evaluate(() => document.activeElement.id), 'set-up-totp')
    await tabTo('change-password')
  })

  for (const [name, options] of Object.entries({
    'light and wide': { colorScheme: 'light', viewport: { width: 1280, height: 900 } },
    'dark and narrow': { colorScheme: 'dark', viewport: { width: 360, height: 780 } },
  })) {
    test(`axe-core finds nothing, and nothing overflows: ${name}`, async () => {
      await page.context().close()
      page = await open('account.html', options)
      const states = []
      const check = async (state) => {
        const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)
        states.push([state, overflow, await violations(page)])
      }
      await check('logged out')
      await logIn()
      await check('logged in')
      await page.click('#set-up-totp')
      await page.locator('dialog .qr').waitFor()
      await check('an app')
      await page.keyboard.press('Escape')
      await addPasskey('Laptop')
      await titled('Your recovery codes')
      await check('recovery codes')
      await keepCodes()
      await page.getByRole('button', { name: 'Rename Laptop' }).click()
      await check('a name')
      await press('Cancel')
      await check('a passkey')
      assert.deepEqual(states.filter(([, overflow, found]) => overflow !== 0 || found.length > 0), [])
    })
  }

  async function tabTo(id) {
    for (let presses = 0; presses < 40; presses += 1) {
      await page.keyboard.press('Tab')
      if ((await page.evaluate(() => document.activeElement.id)) === id) return
    }
    assert.fail(`Tab does not reach #${id}`)
  }
})

/** Returns the pixels of a QR code, from the path of its dark modules. */
async function pictureOf(path) {
  const modules = [...(await path.getAttribute('d')).matchAll(/M(\d+) (\d+)h/g)].map(([, x, y]) => [Number(x), Number(y)])
  const scale = 4
  const size = (Math.max(...modules.flat()) + 5) * scale
  const data = new Uint8ClampedArray(size * size * 4).fill(255)
  for (const [x, y] of modules) {
    for (let row = y * scale; row < (y + 1) * scale; row++) {
      for (let column = x * scale; column < (x + 1) * scale; column++) data.fill(0, (row * size + column) * 4, (row * size + column) * 4 + 3)
    }
  }
  return { width: size, height: size, data }
}

/** Returns what axe-core finds in a page: the rule, and the first element that breaks it. */
async function violations(page) {
  // The policy of the page blocks inline scripts, but not the debugger.
  await page.evaluate(await readFile(fileURLToPath(import.meta.resolve('axe-core')), 'utf8'))
  return page.evaluate(async () => {
    const { violations } = await globalThis.axe.run(document, { resultTypes: ['violations'] })
    return violations.map(({ id, nodes }) => `${id}: ${nodes[0].html}`)
  })
}

/** Logs in elsewhere. Returns the refresh token. */
async function login(issuer, username, password) {
  const headers = { 'content-type': 'application/json' }
  const response = await fetch(`${issuer}/login`, { method: 'POST', headers, body: JSON.stringify({ username, password }) })
  return (await response.json()).refresh_token
}

function refresh(issuer, token) {
  return fetch(`${issuer}/token`, { method: 'POST', body: new URLSearchParams({ grant_type: 'refresh_token', refresh_token: token }) })
}
