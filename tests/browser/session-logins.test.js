// Second factors and fresh authentication of `countersign/session` in each browser, and passkeys in Chromium, whose authenticator is
// virtual.
import assert from 'node:assert/strict'
import { after, afterEach, before, describe, test } from 'node:test'
import { BROWSERS } from '../runtimes/browsers.js'
import { isSkipped } from '../runtimes/skip.js'
import { servePages, startBrowser } from './session-browsers.js'
import { StandInIssuer } from './stand-in-issuer.js'

const USER = { username: 'alice', password: 'secret' }
const LIMIT_MS = 60_000

let pages, issuer

before(async () => {
  pages = await servePages(async () => new Response(null, { status: 204 }), (request) => issuer.answer(request))
  // WebAuthn needs a host name.
  pages.url = pages.url.replace('127.0.0.1', 'localhost')
})
after(() => pages?.close())

for (const name of BROWSERS) {
  describe(name, { skip: isSkipped([name]), timeout: 5 * LIMIT_MS }, () => {
    let browser, tab, other

    before(async () => {
      browser = await startBrowser(name, pages)
    })
    after(() => browser?.close())
    afterEach(async () => {
      await tab?.run(() => session.logout())
      await Promise.all([tab?.close(), other?.close()])
      tab = other = undefined
    })

    /** Opens two tabs. */
    async function open({ methods = [] } = {}) {
      issuer = new StandInIssuer(pages.url)
      issuer.methods = methods
      const options = { issuer: `${pages.url}/issuer`, mode: 'memory' }
      tab = await browser.open(options)
      other = await browser.open(options)
      await until(tab, 'not_logged_in')
    }

    const until = async (where, status) => {
      const wait = (status) => new Promise((resolve) => {
        const check = () => session.state.status === status && resolve()
        session.onChange(check)
        check()
      })
      await where.run(wait, status)
    }

    test('a login with a second factor is seen in all tabs after its code', async () => {
      await open({ methods: ['totp'] })
      const result = await tab.run(async (user) => {
        globalThis.step = await session.login(user)
        const code = await step.code('000000').catch(({ code }) => code)
        return [step.methods, code, session.state.status]
      }, USER)
      assert.deepEqual(result, [['totp'], 'second_factor_failed', 'not_logged_in'])
      await tab.run(() => step.code('123456'))
      await until(other, 'active')
      assert.equal(await other.run(() => session.accessToken()), await tab.run(() => session.accessToken()))
    })

    test('an authentication in one tab is fresh in the other', async () => {
      await open()
      await tab.run((user) => session.login(user), USER)
      await until(other, 'active')
      issuer.authenticatedAt -= 1000
      const fresh = (where) => where.run(() => session.refresh().then(() => session.accessToken({ maxAge: 60 })).then(() => 'fresh', ({ code }) => code))
      assert.equal(await fresh(tab), 'insufficient_user_authentication')
      assert.equal(await fresh(other), 'insufficient_user_authentication')
      issuer.methods = ['totp']
      await tab.run(async () => (await session.again({ password: 'secret' })).code('123456'))
      assert.equal(await fresh(other), 'fresh')
    })

    if (name !== 'chromium') {
      test('a form field suggests no passkey of a page that has none', async () => {
        await open()
        const login = () => session.loginWithPasskey({ mediation: 'conditional', signal: AbortSignal.timeout(2000) }).catch(({ code, name }) => (name === 'SessionError' ? code : name))
        assert.match(await tab.run(login), /^(passkey_unavailable|passkey_cancelled|TimeoutError)$/)
      })
      return
    }

    describe('passkeys', () => {
      /** Gives a tab an authenticator of its own, whose user says yes. */
      async function plug(where, { isUserPresent = true } = {}) {
        const devtools = await where.devtools()
        await devtools.send('Page.bringToFront')
        await devtools.send('WebAuthn.enable')
        const options = {
          protocol: 'ctap2', transport: 'internal', hasResidentKey: true, hasUserVerification: true, isUserVerified: true,
          automaticPresenceSimulation: isUserPresent,
        }
        const { authenticatorId } = await devtools.send('WebAuthn.addVirtualAuthenticator', { options })
        return { devtools, authenticatorId }
      }

      /** Makes a passkey in the tab. Returns the JSON of the page and of the browser. */
      const create = async () => {
        const { createPasskey } = await import('countersign/session')
        const post = async (path, members = {}) => (await fetch(`/issuer${path}`, { method: 'POST', body: JSON.stringify(members) })).json()
        let native
        const make = navigator.credentials.create.bind(navigator.credentials)
        navigator.credentials.create = async (options) => (native = await make(options))
        try {
          const { challenge_token, public_key } = await post('/passkeys/options')
          const credential = await createPasskey(public_key)
          await post('/passkeys', { challenge_token, credential })
          return { credential, native: native.toJSON() }
        } finally {
          navigator.credentials.create = make
        }
      }

      test('a passkey that is made logs in alone, in all tabs, with the JSON that the browser makes', async () => {
        await open()
        await plug(tab)
        const made = await tab.run(create)
        assert.deepEqual(made.credential, made.native)
        const used = await tab.run(async () => {
          let native
          const get = navigator.credentials.get.bind(navigator.credentials)
          navigator.credentials.get = async (options) => (native = await get(options))
          const { fetch } = globalThis
          let sent
          globalThis.fetch = (url, init) => (url.endsWith('/login/passkey') && (sent = JSON.parse(init.body).credential), fetch(url, init))
          await session.loginWithPasskey()
          globalThis.fetch = fetch
          return { sent, native: native.toJSON() }
        })
        assert.deepEqual(used.sent, used.native)
        await until(other, 'active')
      })

      test('a passkey that a form field suggests logs in', async () => {
        await open()
        await plug(tab)
        await tab.run(create)
        await tab.run(() => {
          document.body.innerHTML = '<input autocomplete="username webauthn" autofocus>'
          return session.loginWithPasskey({ mediation: 'conditional' })
        })
        await until(other, 'active')
      })

      test('a passkey is a second factor, and a fresh authentication', async () => {
        await open({ methods: ['passkey'] })
        await plug(tab)
        await tab.run(create)
        await tab.run(async (user) => (await session.login(user)).passkey(), USER)
        await until(other, 'active')
        issuer.authenticatedAt -= 1000
        await tab.run(() => session.refresh())
        const fresh = () => session.accessToken({ maxAge: 60 }).then(() => 'fresh', ({ code }) => code)
        assert.equal(await tab.run(fresh), 'insufficient_user_authentication')
        await tab.run(() => session.againWithPasskey())
        assert.equal(await other.run(fresh), 'fresh')
      })

      test('a device that has a passkey makes no second one', async () => {
        await open()
        await plug(tab)
        await tab.run(create)
        assert.equal(await tab.run((create) => eval(`(${create})`)().catch(({ code }) => code), String(create)), 'passkey_exists')
      })

      test('a passkey of an unknown device is refused, and a request can be ended', async () => {
        await open()
        const { devtools, authenticatorId } = await plug(tab)
        await tab.run(create)
        issuer.passkeys.clear()
        assert.equal(await tab.run(() => session.loginWithPasskey().catch(({ code }) => code)), 'login_failed')
        await devtools.send('WebAuthn.setAutomaticPresenceSimulation', { authenticatorId, enabled: false })
        const login = (milliseconds) => session.loginWithPasskey({ signal: AbortSignal.timeout(milliseconds) }).catch(({ name }) => name)
        assert.equal(await tab.run(login, 300), 'TimeoutError')
        const two = await tab.run(async () => {
          const first = session.loginWithPasskey({ mediation: 'conditional' }).catch(({ code }) => code)
          await new Promise((resolve) => setTimeout(resolve, 300))
          const signal = AbortSignal.timeout(300)
          return [await session.loginWithPasskey({ signal }).catch(({ name }) => name), await first]
        })
        assert.deepEqual(two, ['TimeoutError', 'passkey_cancelled'])
      })
    })
  })
}
