// `countersign/session` in each browser, with the real issuer behind a proxy that can lose and hold its answers.
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { createVerifier } from 'countersign'
import { guard } from 'countersign/guard'
import { addUser, startIssuer, USER } from '../js/support/issuer.js'
import { codesOf } from '../js/support/totp.js'
import { BROWSERS } from '../runtimes/browsers.js'
import { isSkipped } from '../runtimes/skip.js'
import { startFaultProxy } from './fault-proxy.js'
import { servePages, startBrowser } from './session-browsers.js'

const TABS = 10
const EXPIRIES = 20

/** Longer than the lifetime of an access token. */
const NAP_MS = 20 * 60_000

/** The time limit for a state. */
const LIMIT_MS = 60_000

let folder, pages, issuer, proxy, verifier

/** The number of requests to the service. */
let calls = 0

/** Tokens that the service refuses. */
const refused = new Set()

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'countersign-session-'))
  pages = await servePages(async (request) => {
    calls++
    const token = request.headers.get('authorization')?.slice(7)
    if (refused.has(token)) return new Response('', { status: 401, headers: { 'www-authenticate': 'Bearer error="invalid_token"' } })
    const { claims, response } = await guard(request, verifier)
    return response ?? Response.json({ sub: claims.sub, body: await request.text() })
  })
  await start(addUser)
  proxy = await startFaultProxy(issuer.url)
})

after(async () => {
  proxy?.close()
  pages?.close()
  await issuer?.stop()
  await rm(folder, { recursive: true, force: true })
})

/** Starts the issuer, always with the same database. */
async function start(prepare = async () => {}) {
  issuer = await startIssuer({ corsOrigins: [pages.url], database: () => ['--database', `sqlite://${join(folder, 'test.db')}`], prepare })
  verifier = await createVerifier({ issuer: issuer.url, audience: 'api' })
  if (proxy !== undefined) proxy.target = issuer.url
}

/** Adds a user with an authenticator app. Returns the credentials, and a function that makes the codes. */
async function userWithApp(username) {
  const user = { username, password: USER.password }
  await issuer.run(['user', 'add', username], `${user.password}\n`)
  const post = async (path, members, token) => {
    const headers = { 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token}` }) }
    return (await fetch(issuer.url + path, { method: 'POST', headers, body: JSON.stringify(members) })).json()
  }
  const { access_token: token } = await post('/login', user)
  const { secret } = await post('/totp', {}, token)
  const nextCode = codesOf(secret)
  await post('/totp/confirm', { code: nextCode() }, token)
  return { user, nextCode }
}

for (const name of BROWSERS) {
  for (const mode of ['cookie', 'memory']) {
    describe(`${name}, with the refresh token in the ${mode}`, { skip: isSkipped([name]), timeout: 10 * LIMIT_MS }, () => {
      let browser
      let tabs = []

      before(async () => {
        browser = await startBrowser(name, pages)
      })
      after(() => browser?.close())
      afterEach(async () => {
        await tabs[0]?.run(() => session.logout())
        await Promise.all(tabs.map((tab) => tab.close()))
        tabs = []
      })

      async function open(options = {}) {
        const tab = await browser.open({ issuer: proxy.url, mode, ...options })
        tabs.push(tab)
        return tab
      }

      /** Opens tabs, and logs in in the first one. */
      async function loggedIn(count, options) {
        for (let opened = 0; opened < count; opened++) await open(options)
        await tabs[0].run((user) => session.login(user), USER)
        await everywhere('active')
        proxy.requests.length = 0
        return tabs
      }

      /** Waits until all tabs have this status. */
      async function everywhere(status) {
        for (const limit = Date.now() + LIMIT_MS; ; await sleep(20)) {
          const found = await Promise.all(tabs.map((tab) => tab.run(() => session.state.status)))
          if (found.every((one) => one === status)) return
          assert.ok(Date.now() < limit, `expected ${status}, not ${found}`)
        }
      }

      const accessTokens = () => Promise.all(tabs.map((tab) => tab.run(() => session.accessToken())))
      const codes = () => Promise.all(tabs.map((tab) => tab.run(() => session.accessToken().then(() => 'none', ({ code }) => code))))
      /** The machine sleeps: the system's clock goes on, and the steady one does not. */
      const nap = () => Promise.all(tabs.map((tab) => tab.run((milliseconds) => void (clock.wall += milliseconds), NAP_MS)))
      const wake = () => Promise.all(tabs.map((tab) => tab.run(() => void dispatchEvent(new Event('focus')))))

      test(`${TABS} tabs refresh once after each of ${EXPIRIES} sleeps past the expiry`, async () => {
        await loggedIn(TABS)
        const seen = new Set(await accessTokens())
        assert.equal(seen.size, 1)
        for (let expiry = 1; expiry <= EXPIRIES; expiry++) {
          await nap()
          const tokens = new Set(await accessTokens())
          assert.equal(tokens.size, 1)
          seen.add(...tokens)
          assert.equal(proxy.count('/token'), expiry)
        }
        assert.equal(seen.size, EXPIRIES + 1)
        assert.deepEqual(new Set(await codes()), new Set(['none']))
      })

      test('a tab that is opened later has the session, without a login', async () => {
        const [first] = await loggedIn(1)
        const second = await open()
        await everywhere('active')
        assert.equal(await second.run(() => session.accessToken()), await first.run(() => session.accessToken()))
      })

      test('an answer that is lost is asked for again, and the session lives', async () => {
        await loggedIn(2)
        for (const requests of [2, 4]) {
          await nap()
          proxy.faults.push('lose')
          await accessTokens()
          assert.equal(proxy.count('/token'), requests)
        }
        await nap()
        await accessTokens()
        assert.deepEqual(new Set(await codes()), new Set(['none']))
      })

      test('a tab that is closed in the middle of a refresh leaves the session to the others', async () => {
        const [first] = await loggedIn(3)
        await nap()
        let release
        proxy.faults.push(new Promise((resolve) => (release = resolve)))
        first.run(() => session.accessToken()).catch(() => {})
        while (proxy.count('/token') === 0) await sleep(5)
        tabs.shift()
        await first.close()
        await accessTokens()
        release()
        await nap()
        await accessTokens()
        assert.deepEqual(new Set(await codes()), new Set(['none']))
      })

      if (mode === 'cookie') {
        test('if the only tab is closed in the middle of a refresh, the browser takes the cookie of its answer', async () => {
          const [tab] = await loggedIn(1)
          await nap()
          let release
          proxy.faults.push(new Promise((resolve) => (release = resolve)))
          tab.run(() => session.accessToken()).catch(() => {})
          while (proxy.count('/token') === 0) await sleep(5)
          const [used, { answers }] = [proxy.cookies.at(-1), proxy]
          tabs.shift()
          await tab.close()
          release()
          while (proxy.answers === answers) await sleep(5)
          const next = await open()
          await everywhere('active')
          assert.equal(typeof (await next.run(() => session.accessToken())), 'string')
          assert.notEqual(proxy.cookies.at(-1), used)
        })
      }

      test('an issuer that is stopped and comes back is waited for', async () => {
        await loggedIn(2)
        await issuer.stop()
        await wake()
        assert.deepEqual(await codes(), ['none', 'none'])
        await nap()
        assert.deepEqual(new Set(await codes()), new Set(['issuer_unavailable']))
        await everywhere('issuer_unavailable')
        await start()
        await everywhere('active')
        assert.deepEqual(await codes(), ['none', 'none'])
      })

      test('offline is a state of its own, and ends with the event of the browser', async () => {
        await loggedIn(2)
        await browser.setOnline(false)
        assert.deepEqual(await codes(), ['none', 'none'])
        await nap()
        assert.deepEqual(new Set(await codes()), new Set(['offline']))
        await everywhere('offline')
        await browser.setOnline(true)
        await everywhere('active')
      })

      test('a session that the issuer ended is a state of its own, in all tabs', async () => {
        await loggedIn(2)
        await issuer.run(['user', 'lock', USER.username])
        await issuer.run(['user', 'unlock', USER.username])
        await nap()
        await wake()
        await everywhere('session_ended')
        assert.equal(proxy.count('/token'), 1)
        await tabs[1].run((user) => session.login(user), USER)
        await everywhere('active')
      })

      test('a logout in one tab is seen in the other, and ends the session at the issuer', async () => {
        const [first, second] = await loggedIn(2)
        await second.run(() => session.logout())
        await everywhere('not_logged_in')
        assert.equal(proxy.count('/logout'), 1)
        assert.deepEqual(await codes(), ['not_logged_in', 'not_logged_in'])
        assert.deepEqual(await first.run(() => states.slice(-2)), ['active', 'not_logged_in'])
        await open()
        await everywhere('not_logged_in')
      })

      test('a wrong password is refused with its code', async () => {
        const tab = await open()
        const login = (user) => session.login(user).then(() => 'none', ({ code, message }) => [code, message.includes(user.password)])
        assert.deepEqual(await tab.run(login, { ...USER, password: 'no-such' }), ['login_failed', false])
      })

      test('a second factor logs in all tabs, and a fresh authentication by both factors is shared', async () => {
        const { user, nextCode } = await userWithApp(`${name}-${mode}`)
        for (let opened = 0; opened < 2; opened++) await open()
        const [first, second] = tabs
        const begun = await first.run(async (user) => {
          globalThis.step = await session.login(user)
          return [step.methods, await step.code('000000').catch(({ code }) => code), session.state.status]
        }, user)
        assert.deepEqual(begun, [['totp', 'recovery_code'], 'second_factor_failed', 'not_logged_in'])
        await first.run((code) => step.code(code), nextCode())
        await everywhere('active')

        await sleep(2100)
        const fresh = (tab, maxAge) => tab.run((maxAge) => session.accessToken({ maxAge }).catch(({ code }) => code), maxAge)
        assert.equal(await fresh(second, 1), 'insufficient_user_authentication')
        const before = Math.floor(Date.now() / 1000)
        await first.run(async ({ password, code }) => (await session.again({ password })).code(code), { ...user, code: nextCode() })
        const { payload } = await verifier.verify(await fresh(first, 60))
        assert.deepEqual([payload.acr, payload.amr.includes('mfa'), payload.auth_time >= before], ['2', true, true])
        assert.equal(await fresh(second, 60), await fresh(first, 60))
        await nap()
        assert.deepEqual(await codes(), ['none', 'none'])
      })

      for (const minutes of [-10, 10]) {
        test(`a clock that is wrong by ${minutes} minutes changes nothing, and is corrected`, async () => {
          await loggedIn(2, { clock: { wall: minutes * 60_000, steady: 0 } })
          await accessTokens()
          assert.equal(proxy.count('/token'), 0)
          for (const tab of tabs) {
            const [token, now] = await tab.run(async () => [await session.accessToken(), session.now()])
            const verifier = await createVerifier({ issuer: issuer.url, audience: 'api', now: () => now })
            await verifier.verify(token)
          }
          await nap()
          await accessTokens()
          assert.equal(proxy.count('/token'), 1)
        })
      }

      test('no storage has a token', async () => {
        const [tab] = await loggedIn(1)
        const stored = await tab.run(async () => {
          const databases = (await indexedDB.databases?.()) ?? []
          return [localStorage.length, sessionStorage.length, databases.length, (await globalThis.caches?.keys())?.length ?? 0, document.cookie, history.state, name]
        })
        assert.deepEqual(stored, [0, 0, 0, 0, '', null, ''])
      })

      test('fetch sends the token to the service, replaces one that it refuses, and sends it nowhere else', async () => {
        const [tab] = await loggedIn(1)
        const call = (body) => tab.run(async (body) => (await session.fetch('/api', { method: 'POST', body })).json(), body)
        const callWithRequest = (body) => tab.run(async (body) => (await session.fetch(new Request('/api', { method: 'POST', body }))).json(), body)
        assert.equal((await call('first')).body, 'first')
        refused.add(await tab.run(() => session.accessToken()))
        assert.equal((await (mode === 'cookie' ? call : callWithRequest)('again')).body, 'again')
        assert.equal(proxy.count('/token'), 1)
        assert.equal((await callWithRequest('once more')).body, 'once more')
        const before = calls
        assert.equal(await tab.run(() => session.fetch('/moved').catch(({ code }) => code)), 'redirect_refused')
        assert.equal(calls, before)
        assert.equal(await tab.run((url) => session.fetch(url).catch(({ code }) => code), proxy.url), 'origin_not_allowed')
      })
    })
  }
}
