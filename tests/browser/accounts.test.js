// The example `issuer/examples/accounts` with a running issuer, in Chromium: everything that its users do.
import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import decodeQR from 'qr/decode.js'
import { launchChromium, skipChromium } from '../runtimes/chromium.js'
import { pack } from '../packaging/project.js'
import { createLimit, networkOf } from '../../issuer/examples/accounts/src/limit.js'
import { addAuthenticator, assertAccessible, authenticatorApp, withAccounts } from './accounts.js'
import { limitsMails, newUser, refusesBadRequests, refusesStaleTokens } from './accounts-requests.js'

const PASSWORD = 'seven lanterns under plums'
const OTHER_PASSWORD = 'nine kettles behind the moon'
const THIRD_PASSWORD = 'eleven gates before winter'

let folder, tarball

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'countersign-tarball-'))
  tarball = (await pack(folder)).tarball
})
after(() => rm(folder, { recursive: true }))

test('the example accounts pins the package that its test imports', async () => {
  const manifest = async (path) => JSON.parse(await readFile(new URL(`../../${path}`, import.meta.url)))
  const { scripts, dependencies } = await manifest('issuer/examples/accounts/package.json')
  assert.deepEqual(scripts, { dev: 'node dev.js', start: 'node server.js' })
  assert.equal(dependencies.qr, (await manifest('tests/package.json')).devDependencies.qr)
})

test('the limit of the example accounts lets requests through at even intervals, and forgets old keys', () => {
  const { take } = createLimit({ requests: 2, seconds: 10, keys: 2 })
  assert.deepEqual([take('a', 0), take('a', 0), take('a', 0), take('a', 4.5), take('a', 5), take('a', 5)], [0, 0, 5, 1, 0, 5])
  assert.deepEqual([take('b', 5), take('c', 5), take('a', 5), take('a', 5), take('a', 5)], [0, 0, 0, 0, 5])
})

test('the limit of the example accounts counts networks', () => {
  const networks = ['192.0.2.1', '::ffff:192.0.2.1', '2001:db8::1', '2001:db8:0:0:1::1', '2001:db8:0:1::1', '::1', 'fe80::1%eth0', '1:2:3:4:5:6:7::']
  assert.deepEqual(networks.map(networkOf), ['192.0.2.1', '192.0.2.1', '8193:3512:0:0', '8193:3512:0:0', '8193:3512:0:1', '0:0:0:0', '65152:0:0:0', '1:2:3:4'])
})

test('the example accounts', { skip: skipChromium }, (t) => withAccounts(tarball, [], async ({ origin, issuer }) => {
  const browser = await launchChromium()
  const { open, problems } = watched(browser, origin)

  /** Runs a test. Those after it need its effects. */
  async function step(name, work) {
    let hasPassed = false
    await t.test(name, async () => {
      await work()
      hasPassed = true
    })
    if (!hasPassed) throw new Error(`after a failed step, the others are not run: ${name}`)
  }

  const ada = 'ada@example.com'
  let page, app, codes

  try {
    await step('a user registers by a link, which chooses the password', async () => {
      page = await open()
      await shows(page, 'Log in')
      await assertAccessible(page)
      await followLink(page, 'Create an account', '#create', ada)
      await assertAccessible(page)
      assert.equal(new URL(page.url()).hash, '#password', 'the token is not in the address bar')
      await choose(page, PASSWORD, `${PASSWORD}!`)
      await refuses(page, '#choose-password', 'The two new passwords differ.')
      await choose(page, 'password1')
      await refuses(page, '#choose-password', 'an attacker tries')
      await choose(page, PASSWORD)
      await says(page, 'The password is saved')
    })

    await step('a login with the password shows the account, also after a reload', async () => {
      await logIn(page, ada, 'wrong')
      await refuses(page, '#log-in', 'The e-mail address or the password is wrong.')
      await logIn(page, ada, PASSWORD)
      await shows(page, 'Your account')
      await page.fill('#note textarea', 'milk & <b>eggs</b>')
      await submit(page, '#note', 'Save')
      await says(page, 'The note is saved.')
      await page.reload()
      await shows(page, 'Your account')
      await page.waitForFunction(() => document.querySelector('#note textarea').value === 'milk & <b>eggs</b>')
      assert.deepEqual(await page.evaluate(() => [localStorage.length, sessionStorage.length, document.cookie]), [0, 0, ''])
    })

    await step('an authenticator app is set up with the code that the page draws', async () => {
      await submit(page, '#totp-start', 'Set up')
      const scanned = await scan(page, '#totp-confirm')
      assert.match(scanned.uri, /^otpauth:\/\/totp\/.*ada/)
      app = scanned.app
      await page.fill('#totp-confirm [name=code]', '000000')
      await submit(page, '#totp-confirm', 'Turn it on')
      await refuses(page, '#totp-confirm', 'The code is wrong.')
      await page.fill('#totp-confirm [name=code]', await app.code())
      await submit(page, '#totp-confirm', 'Turn it on')
      await shows(page, 'Your account')
      codes = await saveCodes(page)
      assert.equal(new Set(codes).size, 10)
      await page.locator('#totp-state', { hasText: 'On since' }).waitFor()
    })

    await step('a login then needs a code, which works once', async () => {
      await logOut(page)
      await logIn(page, ada, PASSWORD)
      await shows(page, 'Second step')
      await assertAccessible(page)
      await page.fill('#second-code [name=code]', '12345')
      await submit(page, '#second-code', 'Go on')
      await refuses(page, '#second-code', 'That was wrong')
      const code = await app.code()
      await page.fill('#second-code [name=code]', code)
      await submit(page, '#second-code', 'Go on')
      await shows(page, 'Your account')
      await logOut(page)
      await logIn(page, ada, PASSWORD)
      await page.fill('#second-code [name=code]', code)
      await submit(page, '#second-code', 'Go on')
      await refuses(page, '#second-code', 'used before')
    })

    await step('a recovery code replaces it once', async () => {
      const useRecoveryCode = async () => {
        await page.getByText('Use a recovery code').click()
        await page.fill('#second-recovery [name=code]', codes[0])
        await submit(page, '#second-recovery', 'Go on')
      }
      await useRecoveryCode()
      await shows(page, 'Your account')
      await page.locator('#recovery-state', { hasText: '9 of them' }).waitFor()
      await logOut(page)
      await logIn(page, ada, PASSWORD)
      await shows(page, 'Second step')
      await useRecoveryCode()
      await refuses(page, '#second-recovery', 'used before')
      await page.fill('#second-code [name=code]', await app.code())
      await submit(page, '#second-code', 'Go on')
      await shows(page, 'Your account')
    })

    let authenticator
    await step('a passkey is added, and logs in alone', async () => {
      authenticator = await addAuthenticator(page)
      await page.fill('#passkey-add [name=name]', 'My laptop')
      await submit(page, '#passkey-add', 'Add a passkey')
      await says(page, 'The passkey “My laptop” is added.')
      assert.match(await page.locator('#passkeys li').textContent(), /My laptop.*not used yet/)
      assert.equal((await authenticator.passkeys()).length, 1)
      await assertAccessible(page)
      await logOut(page)
      await submit(page, '#log-in-passkey', 'passkey')
      await shows(page, 'Your account')
      await page.locator('#passkeys li', { hasText: 'last used' }).waitFor()
    })

    await step('a passkey without its user opens nothing', async () => {
      await logOut(page)
      await authenticator.verifiesUser(false)
      await submit(page, '#log-in-passkey', 'passkey')
      await refuses(page, '#log-in-passkey', 'No passkey was used.')
      await authenticator.verifiesUser(true)
    })

    await step('a passkey is also a second step', async () => {
      await logIn(page, ada, PASSWORD)
      await shows(page, 'Second step')
      await submit(page, '#second-passkey', 'passkey')
      await shows(page, 'Your account')
    })

    await step('a session is seen and ended in another browser', async () => {
      const phone = await open({ userAgent: 'Mozilla/5.0 (iPhone) Safari/605.1' })
      await logIn(phone, ada, PASSWORD)
      await phone.fill('#second-code [name=code]', await app.code())
      await submit(phone, '#second-code', 'Go on')
      await shows(phone, 'Your account')
      await page.reload()
      const row = page.locator('#sessions li', { hasText: 'Safari on iPhone' })
      await row.waitFor()
      assert.equal(await page.locator('#sessions li', { hasText: 'this one' }).count(), 1)
      await row.getByRole('button', { name: /^End the session/ }).click()
      await says(page, 'The session has ended.')
      await row.waitFor({ state: 'detached' })
      await phone.reload()
      await shows(phone, 'Log in')
      await phone.context().close()
    })

    await step('the password is changed', async () => {
      const change = async (current, password, again) => {
        await page.fill('#change-password [name=current]', current)
        await page.fill('#change-password [name=password]', password)
        await page.fill('#change-password [name=again]', again)
        await submit(page, '#change-password', 'Change')
      }
      await change(PASSWORD, OTHER_PASSWORD, PASSWORD)
      await refuses(page, '#change-password', 'The two new passwords differ.')
      await change('wrong', OTHER_PASSWORD, OTHER_PASSWORD)
      await refuses(page, '#change-password', 'The current password is wrong.')
      await change(PASSWORD, OTHER_PASSWORD, OTHER_PASSWORD)
      await says(page, 'The password is changed.')
      await logOut(page)
      await logIn(page, ada, PASSWORD)
      await refuses(page, '#log-in', 'The e-mail address or the password is wrong.')
    })

    await step('the password is reset by a link that works once, and the second factor stays', async () => {
      const link = await followLink(page, 'Forgot your password?', '#forgot', ada)
      await choose(page, THIRD_PASSWORD)
      await says(page, 'The password is saved')
      await page.goto(link)
      await page.reload()
      await page.goto(link)
      await shows(page, 'Choose a password')
      await choose(page, OTHER_PASSWORD)
      await refuses(page, '#choose-password', 'This link was used, or it is too old.')
      await page.goto(origin)
      await logIn(page, ada, THIRD_PASSWORD)
      await shows(page, 'Second step')
      await submit(page, '#second-passkey', 'passkey')
      await shows(page, 'Your account')
    })

    await step('a passkey, the app and at last the recovery codes are removed', async () => {
      await page.getByRole('button', { name: 'Remove the passkey My laptop' }).click()
      await says(page, 'The passkey “My laptop” is removed.')
      // As if the last authentication were long ago.
      await page.route(`${issuer}/recovery-codes`, (route) => route.fulfill({
        status: 401,
        headers: { 'access-control-allow-origin': origin, 'access-control-allow-credentials': 'true' },
        json: { error: 'insufficient_user_authentication', error_description: 'the authentication is too old' },
      }), { times: 1 })
      await submit(page, '#recovery-renew', 'Make new')
      await confirmAgain(page, app)
      assert.equal(new Set([...(await saveCodes(page)), ...codes]).size, 20)
      await submit(page, '#totp-remove', 'Remove')
      await says(page, 'The authenticator app is removed.')
      await page.locator('#recovery').waitFor({ state: 'hidden' })
      await logOut(page)
      await logIn(page, ada, THIRD_PASSWORD)
      await shows(page, 'Your account')
    })

    await step('the account is deleted after a fresh login', async () => {
      await submit(page, '#delete-account', 'Delete')
      await says(page, 'The account is deleted.')
      await logIn(page, ada, THIRD_PASSWORD)
      await refuses(page, '#log-in', 'The e-mail address or the password is wrong.')
      await page.context().close()
    })

    const token = await newUser({ origin, issuer })
    await step('requests that are malformed or foreign are refused', () => refusesBadRequests({ origin, token }))

    await step('a token that does not say when its user has authenticated deletes nothing', () => refusesStaleTokens({ origin, token }))

    await step('mails have limits, and do not tell who has an account', () => limitsMails({ origin }))
  } finally {
    await browser.close()
  }
  assert.deepEqual(problems, [])
}))

test('the example accounts lets users set up an app if the issuer wants a second factor of all', { skip: skipChromium }, () => withAccounts(tarball, ['--second-factor', 'required'], async ({ origin }) => {
  const browser = await launchChromium()
  const { open, problems } = watched(browser, origin)
  try {
    const page = await open()
    await followLink(page, 'Create an account', '#create', 'bob@example.com')
    await choose(page, PASSWORD)
    await logIn(page, 'bob@example.com', PASSWORD)
    await shows(page, 'Second step')
    const { app } = await scan(page, '#second-enrol')
    await assertAccessible(page)
    await page.fill('#second-enrol [name=code]', '000000')
    await submit(page, '#second-enrol', 'Turn it on')
    await refuses(page, '#second-enrol', 'That was wrong')
    await page.fill('#second-enrol [name=code]', await app.code())
    await submit(page, '#second-enrol', 'Turn it on')
    await shows(page, 'Your account')
    assert.equal(new Set(await saveCodes(page)).size, 10)
    await logOut(page)
    await logIn(page, 'bob@example.com', PASSWORD)
    await page.fill('#second-code [name=code]', await app.code())
    await submit(page, '#second-code', 'Go on')
    await shows(page, 'Your account')
  } finally {
    await browser.close()
  }
  assert.deepEqual(problems, [])
}))

/** Returns a function that opens the application in a browser of its own, and the list of its problems. */
function watched(browser, origin) {
  const problems = []
  async function open(options = {}) {
    const context = await browser.newContext(options)
    const page = await context.newPage()
    page.setDefaultTimeout(15_000)
    page.on('console', (message) => {
      // The browser logs every refusal. Violations of the Content-Security-Policy are other lines.
      if (['error', 'warning'].includes(message.type()) && !message.text().startsWith('Failed to load resource')) problems.push(message.text())
    })
    page.on('pageerror', (error) => problems.push(String(error)))
    await page.goto(origin)
    return page
  }
  return { open, problems }
}

const shows = (page, text) => page.getByRole('heading', { level: 1, name: text }).waitFor()
const says = (page, text) => page.locator('#notice', { hasText: text }).waitFor()
const refuses = (page, form, text) => page.locator(`${form} .error`, { hasText: text }).waitFor()
const submit = (page, form, button) => page.locator(form).getByRole('button', { name: button }).click()

async function logIn(page, email, password) {
  await shows(page, 'Log in')
  await page.fill('#log-in [name=email]', email)
  await page.fill('#log-in [name=password]', password)
  await submit(page, '#log-in', 'Log in')
}

async function logOut(page) {
  await page.click('#log-out')
  await shows(page, 'Log in')
}

/** Asks for a link by one of the two forms, and opens it as the user does. */
async function followLink(page, link, form, email) {
  await page.getByRole('link', { name: link }).click()
  await page.fill(`${form} [name=email]`, email)
  await submit(page, form, 'Send the link')
  await shows(page, 'Look into your mailbox')
  await page.getByRole('link', { name: 'Open the mailbox' }).click()
  const mail = page.locator('.mails li', { hasText: `to ${email},` }).first()
  for (let attempt = 0; attempt < 50 && (await mail.count()) === 0; attempt++) {
    await page.waitForTimeout(100)
    await page.reload()
  }
  const address = await mail.getByRole('link').getAttribute('href')
  await mail.getByRole('link').click()
  await shows(page, 'Choose a password')
  return address
}

async function choose(page, password, again = password) {
  await page.fill('#choose-password [name=password]', password)
  await page.fill('#choose-password [name=again]', again)
  await submit(page, '#choose-password', 'Save')
}

/** Scans the QR code of a form by an authenticator app. */
async function scan(page, form) {
  await page.locator(`${form} svg path`).waitFor()
  const uri = await readQrCode(page, form)
  const secret = new URL(uri).searchParams.get('secret')
  assert.equal((await page.locator(`${form} code`).textContent()).replaceAll(' ', ''), secret)
  return { uri, app: authenticatorApp(secret) }
}

/** Confirms in the dialog who the user is, after wrong answers. */
async function confirmAgain(page, app) {
  const answer = async (form, field, text) => {
    await page.fill(`${form} [name=${field}]`, text)
    await submit(page, form, 'Confirm')
  }
  await answer('#again-password', 'password', 'wrong')
  await refuses(page, '#again-password', 'The password is wrong.')
  await answer('#again-password', 'password', THIRD_PASSWORD)
  await answer('#again-code', 'code', '12345')
  await refuses(page, '#again-code', 'That was wrong')
  await answer('#again-code', 'code', await app.code())
}

/** Reads the recovery codes, and closes them. */
async function saveCodes(page) {
  await page.locator('#codes[open]').waitFor()
  const codes = await page.locator('#codes-list code').allTextContents()
  await page.getByRole('button', { name: 'I have saved them' }).click()
  return codes
}

/** Reads the QR code of a form from its picture, as a phone does. */
async function readQrCode(page, form) {
  const picture = await page.locator(`${form} svg`).screenshot()
  // The browser decodes the PNG.
  const { width, height, data } = await page.evaluate(async (base64) => {
    const blob = new Blob([Uint8Array.from(atob(base64), (character) => character.charCodeAt(0))], { type: 'image/png' })
    const bitmap = await createImageBitmap(blob)
    const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext('2d')
    context.drawImage(bitmap, 0, 0)
    const { width, height, data } = context.getImageData(0, 0, bitmap.width, bitmap.height)
    return { width, height, data: Array.from(data) }
  }, picture.toString('base64'))
  return decodeQR({ width, height, data: Uint8ClampedArray.from(data) })
}
