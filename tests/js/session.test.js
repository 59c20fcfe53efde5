// `countersign/session`, in browsers with clocks, timers, locks and messages of the test.
import assert from 'node:assert/strict'
import { basename } from 'node:path'
import { describe, test } from 'node:test'
import { createSession, SessionError } from 'countersign/session'
import { build } from 'esbuild'
import { ISSUER, LIFETIME, Machine, PAGE, refusal } from './support/tabs.js'

const MODES = ['cookie', 'memory']

/** The answer never comes; the request ends at its time limit. */
const silence = () => new Promise(() => {})
const unreachable = () => Promise.reject(new TypeError('failed to fetch'))
/** The issuer answers, and nobody gets the answer. */
const lost = (answer) => (answer(), unreachable())
const busy = () => refusal(503, 'temporarily_unavailable', 'the database is away', { 'retry-after': '20' })

/** Returns a machine with tabs of one session. */
async function loggedIn({ mode = 'cookie', count = 1, ...options } = {}) {
  const machine = new Machine(options)
  const tabs = Array.from({ length: count }, () => machine.open({ mode }))
  await machine.pass(5)
  await after(machine, 5, tabs[0].logIn())
  for (const { status } of tabs) assert.equal(status, 'active')
  machine.issuer.requests.length = 0
  return { machine, issuer: machine.issuer, tabs, tab: tabs[0] }
}

/** Returns the code with which a promise is rejected, while time passes. */
async function codeOf(machine, promise, seconds = 0) {
  const settled = promise.then(() => 'none', (error) => {
    assert.ok(error instanceof SessionError, error?.stack)
    assert.match(error.message, /^[^\p{Cc}]+$/u)
    return error.code
  })
  await machine.pass(seconds)
  return settled
}

/** Returns the result of a promise, while time passes. */
async function after(machine, seconds, promise) {
  const outcome = promise.then((value) => ({ value }), (reason) => ({ reason }))
  await machine.pass(seconds)
  const { value, reason } = await Promise.race([outcome, { reason: new Error('there was no result in time') }])
  if (reason !== undefined) throw reason
  return value
}

for (const mode of MODES) {
  describe(`with the refresh token in the ${mode}`, () => {
    test('a login is seen in all tabs, with one access token', async () => {
      const { issuer, tabs } = await loggedIn({ mode, count: 3 })
      const tokens = await Promise.all(tabs.map(({ session }) => session.accessToken()))
      assert.equal(new Set(tokens).size, 1)
      assert.equal(issuer.requests.length, 0)
      assert.deepEqual(tabs.map(({ states }) => states), Array(3).fill(['not_logged_in', 'active']))
      assert.equal(tabs[2].session.state.scope, 'read write')
    })

    test('ten tabs refresh once at each expiry, ahead of it and without a call', async () => {
      const { machine, issuer, tabs } = await loggedIn({ mode, count: 10 })
      for (let expiry = 1; expiry <= 20; expiry++) {
        await machine.pass(LIFETIME * 0.8 + 5)
        assert.equal(issuer.count('/token'), expiry)
        assert.equal(new Set(await Promise.all(tabs.map(({ session }) => session.accessToken()))).size, 1)
      }
      assert.deepEqual(tabs.map(({ status }) => status), Array(10).fill('active'))
    })

    test('after a sleep, ten tabs refresh once', async () => {
      const { machine, issuer, tabs } = await loggedIn({ mode, count: 10 })
      await machine.sleep(3600)
      const tokens = await after(machine, 1, Promise.all(tabs.map(({ session }) => session.accessToken())))
      assert.equal(new Set(tokens).size, 1)
      assert.equal(issuer.count('/token'), 1)
    })

    test('a page that becomes visible after a sleep refreshes without a call', async () => {
      const { machine, issuer, tab } = await loggedIn({ mode })
      await machine.sleep(3600)
      tab.emit('visibilitychange')
      await machine.settle()
      assert.equal(issuer.count('/token'), 1)
    })

    test('hidden tabs, whose timers fire once a minute, refresh in time, and delay no other tab', async () => {
      const { machine, issuer, tabs } = await loggedIn({ mode, count: 3 })
      for (const tab of tabs) tab.isHidden = true
      for (let expiry = 1; expiry <= 3; expiry++) {
        const before = await tabs[1].session.accessToken()
        while ((await tabs[1].session.accessToken()) === before) await machine.pass(1)
        assert.equal(issuer.count('/token'), expiry)
      }
      tabs[2].isHidden = false
      await after(machine, 0, tabs[2].logIn())
      assert.deepEqual(tabs[0].states, ['not_logged_in', 'active', 'active'])
    })

    test('an answer that was lost is asked for again at once, and the session lives', async () => {
      const { machine, issuer, tab } = await loggedIn({ mode })
      for (const fault of [lost, (answer) => (answer(), silence())]) {
        issuer.faults.push(fault)
        await machine.sleep(LIFETIME)
        await after(machine, 12, tab.session.accessToken())
        assert.equal(tab.status, 'active')
      }
      assert.equal(issuer.count('/token'), 4)
      await machine.pass(LIFETIME)
      assert.equal(tab.status, 'active')
    })

    test('if a tab is closed in the middle of a refresh, another one takes over within the grace', async () => {
      const { machine, issuer, tabs } = await loggedIn({ mode, count: 3 })
      issuer.faults.push((answer) => (answer(), silence()))
      await machine.sleep(LIFETIME * 0.9)
      const call = tabs[0].session.accessToken()
      await machine.pass(1)
      assert.equal(issuer.count('/token'), 1)
      tabs[0].close()
      await machine.pass(2)
      assert.equal(issuer.count('/token'), 2)
      assert.deepEqual(tabs.slice(1).map(({ status }) => status), ['active', 'active'])
      await machine.pass(LIFETIME)
      assert.deepEqual(tabs.slice(1).map(({ status }) => status), ['active', 'active'])
      void call
    })

    test('a tab takes over a refresh for which its own token is no reason', async () => {
      const { machine, issuer, tabs: [tab, other] } = await loggedIn({ mode, count: 2 })
      issuer.faults.push((answer) => (answer(), silence()))
      void tab.session.replace(await tab.session.accessToken())
      await machine.pass(1)
      tab.close()
      await machine.pass(1)
      assert.equal(issuer.count('/token'), 2)
      await machine.pass(LIFETIME * 2)
      assert.equal(other.status, 'active')
    })

    test('a refresh that is asked for brings all tabs another token, or says why not', async () => {
      const { machine, issuer, tabs: [tab, other] } = await loggedIn({ mode, count: 2 })
      const before = await tab.session.accessToken()
      const token = await after(machine, 1, tab.session.refresh())
      assert.notEqual(token, before)
      assert.equal(await other.session.accessToken(), token)

      // One that is under way began before.
      const [one, two] = await after(machine, 1, Promise.all([tab.session.refresh(), tab.session.refresh()]))
      assert.deepEqual([one === token, two === token], [false, false])
      const { length } = issuer.requests

      issuer.fetch = busy
      assert.equal(await codeOf(machine, tab.session.refresh(), 1), 'issuer_unavailable')
      assert.equal(await tab.session.accessToken(), two)
      delete issuer.fetch
      assert.notEqual(await after(machine, 1, tab.session.refresh()), two, 'the page decides when to try again')
      assert.equal(issuer.requests.length, length + 1)

      issuer.current = 0
      assert.equal(await codeOf(machine, tab.session.refresh(), 1), 'session_ended')
      assert.equal(await codeOf(machine, other.session.refresh(), 1), 'session_ended')
      assert.equal(issuer.requests.length, length + 2)
    })

    test('a logout is seen in all tabs at once', async () => {
      const { machine, issuer, tabs } = await loggedIn({ mode, count: 3 })
      await after(machine, 1, tabs[1].session.logout())
      assert.deepEqual(tabs.map(({ status }) => status), Array(3).fill('not_logged_in'))
      assert.equal(issuer.count('/logout'), 1)
      assert.equal(await codeOf(machine, tabs[0].session.accessToken()), 'not_logged_in')
      await machine.pass(LIFETIME * 2)
      assert.equal(issuer.count('/token'), 0)
      await after(machine, 1, tabs[2].logIn())
      assert.deepEqual(tabs.map(({ status }) => status), Array(3).fill('active'))
    })

    test('a logout that the issuer does not hear ends the session here, fails, and can be repeated', async () => {
      const { machine, issuer, tabs: [tab, other] } = await loggedIn({ mode, count: 2 })
      issuer.faults.push(unreachable)
      assert.equal(await codeOf(machine, tab.session.logout(), 1), 'issuer_unavailable')
      assert.deepEqual([tab.status, other.status], ['not_logged_in', 'not_logged_in'])
      await after(machine, 1, tab.session.logout())
      assert.equal(issuer.current, 0)
      assert.match(issuer.requests.at(-1).body, mode === 'memory' ? /^refresh_token=1$/ : /^$/)
    })

    test('a logout during a refresh is not undone by its answer', async () => {
      const { machine, issuer, tabs: [tab, other] } = await loggedIn({ mode, count: 2 })
      let end
      issuer.faults.push((answer) => new Promise((resolve) => (end = () => resolve(answer()))))
      await machine.sleep(LIFETIME * 0.9)
      tab.emit('focus')
      await machine.pass(1)
      const logout = other.session.logout()
      await machine.settle()
      end()
      await after(machine, 3, logout)
      assert.deepEqual([tab.status, other.status, issuer.current], ['not_logged_in', 'not_logged_in', 0])
    })

    test('a login that was under way does not outlive a logout, in any tab', async () => {
      for (const count of [1, 2]) {
        const { machine, issuer, tabs } = await loggedIn({ mode, count })
        let answerLogin
        issuer.faults.push((answer) => new Promise((resolve) => (answerLogin = () => resolve(answer()))))
        const login = tabs[0].logIn()
        await machine.settle()
        const logout = tabs.at(-1).session.logout()
        await machine.settle()
        answerLogin()
        await after(machine, 2, Promise.all([login, logout]))
        assert.deepEqual(tabs.map(({ status }) => status), Array(count).fill('not_logged_in'))
        // In the memory, the session before has a token of its own.
        assert.deepEqual([issuer.current, issuer.count('/logout')], [0, mode === 'cookie' ? 1 : 2])
      }
    })

    test('calls take effect in their order, also if nobody waits for them', async () => {
      const { machine, issuer, tabs: [tab, other] } = await loggedIn({ mode, count: 2 })
      await after(machine, 2, Promise.all([tab.session.logout(), tab.logIn()]))
      assert.deepEqual([tab.status, other.status], ['active', 'active'])
      assert.deepEqual(issuer.requests.map(({ path }) => path), ['/logout', '/login'])
      await after(machine, 2, Promise.all([tab.logIn(), tab.session.logout()]))
      assert.deepEqual([tab.status, other.status, issuer.current], ['not_logged_in', 'not_logged_in', 0])
      await after(machine, 2, Promise.all([tab.logIn(), tab.session.logout(), tab.logIn()]))
      await machine.pass(LIFETIME)
      assert.deepEqual([tab.status, other.status], ['active', 'active'])
    })

    test('an answer after the logout changes nothing, also if fetch ignores its signal', async () => {
      const machine = new Machine()
      const fetch = (url, init) => machine.issuer.fetch(url, { ...init, signal: new AbortController().signal })
      const tab = machine.open({ mode, fetch })
      await machine.pass(2)
      await after(machine, 2, tab.logIn())
      let end
      machine.issuer.faults.push((answer) => new Promise((resolve) => (end = () => resolve(answer()))))
      await machine.sleep(LIFETIME * 0.9)
      tab.emit('focus')
      await machine.settle()
      void tab.session.logout()
      await machine.settle()
      end()
      await machine.pass(1)
      assert.equal(tab.status, 'not_logged_in')
    })

    test('a session that the issuer ended is a state of its own, in all tabs', async () => {
      const { machine, issuer, tabs } = await loggedIn({ mode, count: 2 })
      issuer.current = 0
      await machine.pass(LIFETIME)
      assert.deepEqual(tabs.map(({ status }) => status), ['session_ended', 'session_ended'])
      assert.equal(issuer.count('/token'), 1)
      assert.equal(await codeOf(machine, tabs[1].session.accessToken()), 'session_ended')
    })

    test('offline and without the issuer, the session stays active until the token expires, and comes back by itself', async () => {
      for (const status of ['offline', 'issuer_unavailable']) {
        const { machine, issuer, tabs } = await loggedIn({ mode, count: 2 })
        const set = (works) => {
          if (status === 'offline') machine.isOnline = works
          else issuer.fetch = works ? Object.getPrototypeOf(issuer).fetch : unreachable
        }
        set(false)
        await machine.pass(LIFETIME * 0.9)
        assert.equal(tabs[0].status, 'active')
        assert.match(await tabs[0].session.accessToken(), /^e30\./)
        await machine.pass(LIFETIME * 0.2)
        assert.deepEqual(tabs.map((tab) => tab.status), [status, status])
        const { error } = tabs[1].session.state
        assert.deepEqual([error.code, error.retryable], [status, true])
        // A refresh may be under way.
        assert.equal(await codeOf(machine, tabs[1].session.accessToken(), 2), status)
        set(true)
        const before = issuer.count('/token')
        if (status === 'offline') tabs.forEach((tab) => tab.emit('online'))
        await machine.pass(status === 'offline' ? 2 : 62)
        assert.deepEqual(tabs.map((tab) => tab.status), ['active', 'active'])
        assert.equal(issuer.count('/token'), before + 1)
      }
    })

    test('the state tells when the token expires, also long before the next attempt', async () => {
      const { machine, issuer, tab } = await loggedIn({ mode })
      issuer.fetch = () => refusal(503, 'temporarily_unavailable', 'wait', { 'retry-after': '300' })
      await machine.pass(LIFETIME - 10)
      assert.equal(tab.status, 'active')
      await machine.pass(10)
      assert.equal(tab.status, 'issuer_unavailable')
    })

    test('a down issuer gets fewer and fewer requests, from all tabs together and for any number of calls', async () => {
      const { machine, issuer, tabs } = await loggedIn({ mode, count: 5 })
      const times = []
      issuer.fetch = () => (times.push(machine.steadyTime), busy())
      await machine.sleep(LIFETIME)
      for (let second = 0; second < 600; second++) {
        for (const { session } of tabs) session.accessToken().catch(() => {})
        await machine.pass(1)
      }
      const pauses = times.slice(1).map((time, i) => time - times[i])
      assert.ok(times.length > 8 && times.length < 40, `${times.length} requests`)
      assert.ok(Math.min(...pauses) >= 20_000, `the issuer asked for 20 s: ${pauses}`)
    })

    test('the system clock may be wrong by 10 minutes either way, and be set at any moment', async () => {
      for (const clockError of [-600, 600]) {
        for (const exposesDate of [false, true]) {
          const { machine, issuer, tabs: [tab, other] } = await loggedIn({ mode, count: 2, clockError, exposesDate })
          await machine.pass(LIFETIME * 0.7)
          assert.equal(issuer.count('/token'), 0)
          for (const { session } of [tab, other]) assert.ok(Math.abs(session.now() - issuer.now) <= 1.5, `${session.now()} ${issuer.now}`)
          machine.wallTime -= clockError * 1000
          issuer.clockError = 0
          await machine.pass(LIFETIME * 0.15)
          assert.equal(issuer.count('/token'), 1)
          assert.ok(Math.abs(tab.session.now() - issuer.now) <= 1.5)
          await machine.pass(LIFETIME * 2)
          assert.deepEqual([tab.status, other.status], ['active', 'active'])
        }
      }
    })

    for (const locks of ['missing', 'refused']) {
      test(`with Web Locks ${locks}, ten tabs refresh once, also if one is closed in the middle`, async () => {
        const { machine, issuer, tabs } = await loggedIn({ mode, count: 10, locks })
        for (let expiry = 1; expiry <= 5; expiry++) {
          await machine.sleep(LIFETIME)
          const tokens = await after(machine, 5, Promise.all(tabs.map(({ session }) => session.accessToken())))
          assert.equal(new Set(tokens).size, 1)
          assert.equal(issuer.count('/token'), expiry)
        }
        issuer.faults.push((answer) => (answer(), silence()))
        await machine.sleep(LIFETIME * 0.9)
        void tabs[0].session.accessToken()
        await machine.pass(1)
        tabs[0].close()
        await machine.pass(5)
        assert.equal(issuer.count('/token'), 7)
        assert.deepEqual(tabs.slice(1).map(({ status }) => status), Array(9).fill('active'))
      })
    }

    test('without Web Locks, a refresh that takes long is waited for', async () => {
      const { machine, issuer, tabs } = await loggedIn({ mode, count: 3, locks: 'missing' })
      let end
      issuer.faults.push((answer) => new Promise((resolve) => (end = () => resolve(answer()))))
      await machine.sleep(LIFETIME)
      const calls = Promise.all(tabs.map(({ session }) => session.accessToken()))
      await machine.pass(8)
      end()
      const tokens = await after(machine, 2, calls)
      assert.equal(new Set(tokens).size, 1)
      assert.equal(issuer.count('/token'), 1)
    })

    test('a tab that was suspended with the lock does not stop the others', async () => {
      const { machine, issuer, tabs: [tab, other] } = await loggedIn({ mode, count: 2 })
      issuer.faults.push(silence)
      await machine.sleep(LIFETIME)
      tab.emit('focus')
      await machine.settle()
      machine.timers = machine.timers.filter((timer) => timer.tab !== tab)
      await after(machine, 40, other.session.accessToken())
      assert.equal(other.status, 'active')
    })
  })
}

test('a new tab gets the tokens of another one without a request, in both modes', async () => {
  for (const mode of MODES) {
    const { machine, issuer, tab } = await loggedIn({ mode })
    const next = machine.open({ mode })
    assert.equal(next.status, 'starting')
    await machine.pass(1)
    assert.equal(next.status, 'active')
    assert.equal(await next.session.accessToken(), await tab.session.accessToken())
    assert.equal(issuer.requests.length, 0)
    tab.close()
    await machine.pass(LIFETIME)
    assert.equal(next.status, 'active')
    assert.equal(issuer.count('/token'), 1)
  }
})

test('after a reload, the cookie has the session, and the memory does not', async () => {
  const { machine, tab } = await loggedIn({ mode: 'cookie' })
  tab.close()
  const reloaded = machine.open()
  await machine.pass(1)
  assert.equal(reloaded.status, 'active')

  const memory = await loggedIn({ mode: 'memory' })
  memory.tab.close()
  const lost = memory.machine.open({ mode: 'memory' })
  await memory.machine.pass(1)
  assert.equal(lost.status, 'not_logged_in')
  assert.equal(memory.issuer.requests.length, 0)
})

test('a frozen tab gets what it has missed, and ends no session with an old refresh token', async () => {
  for (const mode of MODES) {
    const { machine, issuer, tabs: [tab, other] } = await loggedIn({ mode, count: 2 })
    other.freeze()
    await machine.pass(LIFETIME * 5)
    const count = issuer.count('/token')
    other.thaw()
    await machine.pass(2)
    assert.equal(await other.session.accessToken(), await tab.session.accessToken())
    assert.deepEqual([issuer.count('/token'), tab.status, other.status], [count, 'active', 'active'])
  }
})

test('a tab that is opened while the others cannot answer refreshes, and they take its tokens', async () => {
  const { machine, issuer, tab } = await loggedIn()
  tab.freeze()
  const next = machine.open()
  await machine.pass(2)
  assert.deepEqual([next.status, issuer.count('/token')], ['active', 1])
  tab.thaw()
  await machine.pass(2)
  assert.equal(await tab.session.accessToken(), await next.session.accessToken())
  assert.equal(issuer.count('/token'), 1)
})

test('a logout is heard everywhere if it is the first call of a new tab', async () => {
  for (const mode of MODES) {
    const { machine, issuer, tab } = await loggedIn({ mode })
    const next = machine.open({ mode })
    await after(machine, 2, next.session.logout())
    assert.deepEqual([tab.status, next.status, issuer.current], ['not_logged_in', 'not_logged_in', 0])
  }
})

test('a page that comes back from the back/forward cache has missed nothing', async () => {
  const { machine, issuer, tabs: [tab, other] } = await loggedIn({ mode: 'memory', count: 2 })
  other.emit('pagehide')
  assert.equal(machine.channels.size, 1)
  machine.timers = machine.timers.filter((timer) => timer.tab !== other)
  await machine.pass(LIFETIME * 3)
  other.emit('pageshow', { persisted: true })
  assert.equal(await after(machine, 1, other.session.accessToken()), await tab.session.accessToken())
  assert.equal(issuer.count('/token'), 3)
})

test('refreshes and logouts outlive the page, so that the browser takes the cookie of the answer', async () => {
  const { machine, issuer, tab } = await loggedIn()
  await machine.pass(LIFETIME)
  await after(machine, 1, tab.session.logout())
  assert.deepEqual(issuer.requests.map(({ path, init }) => [path, init.keepalive]), [['/token', true], ['/logout', true]])
})

test('a login over a session in the memory ends that one at the issuer, sooner or later', async () => {
  const { machine, issuer, tab } = await loggedIn({ mode: 'memory' })
  const ended = () => issuer.requests.filter(({ path }) => path === '/logout').map(({ body }) => body)
  await after(machine, 2, tab.logIn())
  assert.deepEqual(ended(), ['refresh_token=1'])
  // The login succeeds even if the issuer does not answer to the logout.
  issuer.faults.push((answer) => answer(), unreachable)
  await after(machine, 2, tab.logIn())
  assert.deepEqual([tab.status, ended().at(-1)], ['active', 'refresh_token=2'])
  await after(machine, 2, tab.session.logout())
  assert.deepEqual(ended().slice(2), ['refresh_token=2', 'refresh_token=3'])
  assert.equal(issuer.current, 0)
})

test('a session of another login, by a page of another origin, is told as a login', async () => {
  const { machine, issuer, tabs: [tab, other] } = await loggedIn({ count: 2 })
  const before = await tab.session.accessToken()
  await issuer.fetch(`${ISSUER}/login`, { body: '{"password":"secret"}', credentials: 'include', signal: new AbortController().signal })
  await machine.pass(LIFETIME)
  for (const { states } of [tab, other]) assert.deepEqual(states, ['not_logged_in', 'active', 'active'])
  assert.equal(await tab.session.replace(before), undefined)
  // A refresh of the same session is not.
  await machine.pass(LIFETIME)
  assert.equal(tab.states.length, 3)
})

test('a cookie that is gone ends a session that the page has seen', async () => {
  const { machine, issuer, tab } = await loggedIn()
  issuer.cookie = ''
  await machine.pass(LIFETIME)
  assert.equal(tab.status, 'session_ended')
})

test('a page that imports only the verifier downloads nothing of the session, and the other way round', async () => {
  const scriptsOf = async (specifier) => {
    const stdin = { contents: `export * from '${specifier}'`, resolveDir: import.meta.dirname }
    const { metafile } = await build({ stdin, bundle: true, splitting: true, format: 'esm', outdir: 'out', write: false, metafile: true })
    return Object.keys(metafile.inputs).map((path) => basename(path)).filter((name) => name !== '<stdin>')
  }
  assert.deepEqual((await scriptsOf('countersign/session')).sort(), ['page-session.js', 'session.js'])
  for (const entry of ['countersign', 'countersign/inline', 'countersign/status', 'countersign/guard']) {
    assert.deepEqual((await scriptsOf(entry)).filter((name) => name.includes('session')), [], entry)
  }
})

test('nothing happens before the first call', async () => {
  let requests = 0
  const session = createSession({ issuer: ISSUER, fetch: () => (requests++, unreachable()) })
  assert.deepEqual([session.state.status, session.state.error, requests], ['starting', undefined, 0])
  session.close()
})

test('each refusal of a login has its code', async () => {
  const { machine, issuer, tab } = await loggedIn()
  assert.equal(await codeOf(machine, tab.logins.login('alice', 'wrong'), 2), 'login_failed')
  assert.equal(tab.status, 'active', 'the session before lives on')
  const cases = [
    [() => refusal(429, 'too_many_requests', 'wait', { 'retry-after': '7' }), 'too_many_logins', 7],
    [() => refusal(403, 'access_denied', 'localhost and 127.0.0.1 are two sites'), 'access_denied'],
    [busy, 'issuer_unavailable', 20],
    [() => new Response('<html>', { status: 200 }), 'issuer_unavailable'],
    [() => Response.json({ access_token: 'a\nb', token_type: 'Bearer', expires_in: 5 }), 'issuer_unavailable'],
    [() => Response.json({ access_token: 'ab', token_type: 'DPoP', expires_in: 5 }), 'issuer_unavailable'],
    [() => new Response('{ "access_token": "ab", "token_type": "Bearer", "expires_in": 1e999 }'), 'issuer_unavailable'],
    [() => Response.json({ access_token: 'ab', token_type: 'Bearer' }), 'issuer_unavailable'],
    [() => Response.json([]), 'issuer_unavailable'],
    [unreachable, 'issuer_unavailable'],
  ]
  for (const [fault, code, retryAfter] of cases) {
    issuer.faults.push(fault)
    const call = tab.logIn()
    assert.equal(await codeOf(machine, call, 2), code)
    const error = await call.catch((error) => error)
    assert.equal(error.retryAfter, retryAfter)
    assert.doesNotMatch(error.message, /secret/)
  }
})

test('a listener that throws keeps the state from no other, and one that was removed hears nothing', async () => {
  const { machine, tab } = await loggedIn()
  const heard = []
  tab.session.onChange(() => {
    throw new Error('a fault of the page')
  })
  tab.session.onChange(({ status }) => heard.push(status))
  tab.session.onChange(() => heard.push('removed'))()
  await after(machine, 1, tab.session.logout())
  assert.deepEqual([heard, tab.faults], [['not_logged_in'], ['a fault of the page']])
})

test('a login of another user is told to all tabs', async () => {
  const { machine, tabs: [tab, other] } = await loggedIn({ count: 2 })
  await after(machine, 1, tab.logIn())
  assert.deepEqual(other.states, ['not_logged_in', 'active', 'active'])
})

test('a login during the time in the back/forward cache is told', async () => {
  const { machine, tabs: [tab, other] } = await loggedIn({ count: 2 })
  other.emit('pagehide')
  await after(machine, 1, tab.session.logout())
  await after(machine, 1, tab.logIn())
  await machine.pass(LIFETIME)
  other.emit('pageshow', { persisted: true })
  await machine.pass(1)
  assert.equal(await other.session.accessToken(), await tab.session.accessToken())
  assert.deepEqual(other.states, ['not_logged_in', 'active', 'active'])
})

test('after close, nothing goes on', async () => {
  for (const isFresh of [false, true]) {
    const { machine, issuer, tab } = await loggedIn()
    const closed = isFresh ? machine.open() : tab
    if (isFresh) tab.close()
    closed.session.close()
    await machine.pass(LIFETIME * 5)
    assert.deepEqual([issuer.requests.length, machine.timers.length, machine.channels.size], [0, 0, 0])
    assert.equal(await codeOf(machine, closed.session.accessToken()), 'not_logged_in')
  }
})

test('wrong options are refused with their names', () => {
  const cases = {
    issuer: [{}, { issuer: 'auth.example' }, { issuer: 'https://auth.example/?a' }, { issuer: 'ftp://auth.example' }, { issuer: 'https://u:p@auth.example' }],
    mode: [{ mode: 'storage' }],
    origins: [{ origins: 'https://api.example' }, { origins: ['https://api.example/'] }, { origins: ['*'] }, { origins: ['null'] }],
    timeoutMs: [{ timeoutMs: 0 }, { timeoutMs: NaN }, { timeoutMs: 60_001 }],
    fetch: [{ fetch: 1 }],
    audience: [{ audience: 'api' }],
    options: [undefined, null],
  }
  for (const [reason, all] of Object.entries(cases)) {
    for (const options of all) {
      const given = reason === 'options' ? options : { ...(reason === 'issuer' ? {} : { issuer: ISSUER }), ...options }
      assert.throws(() => createSession(given), (error) => {
        assert.ok(error instanceof SessionError)
        assert.deepEqual([error.code, error.reason], ['options_invalid', reason])
        return error.message.includes(reason)
      })
    }
  }
})

describe('fetch', () => {
  /** Returns a tab whose issuer also answers as a service, and the requests to the service. */
  async function withService(answer, options = {}) {
    const { machine, issuer, tab: first } = await loggedIn()
    const seen = []
    const fetch = async (input, init) => {
      const url = String(input?.url ?? input)
      if (url.startsWith(ISSUER)) return issuer.fetch(url, init)
      const request = new Request(input, init.body?.getReader ? { ...init, duplex: 'half' } : init)
      const { method, redirect } = request
      seen.push({ url, method, redirect, token: request.headers.get('authorization'), other: request.headers.get('x-other'), body: await request.text() })
      return answer(seen.length, request)
    }
    const tab = machine.open({ fetch, ...options })
    await machine.pass(1)
    const token = await first.session.accessToken()
    assert.equal(await tab.session.accessToken(), token)
    return { machine, issuer, tab, seen, token: `Bearer ${token}` }
  }
  const refused = (challenge) => new Response('', { status: 401, headers: challenge === undefined ? {} : { 'www-authenticate': challenge } })
  const INVALID = 'Bearer error="invalid_token", error_description="the token was revoked"'

  test('the token goes to the own origin and to those listed, and nowhere else', async () => {
    const { machine, tab, seen, token } = await withService(() => new Response('ok'), { origins: ['https://api.example'] })
    for (const [input, url] of [['data?q=1', `${PAGE}/folder/data?q=1`], [new URL(`${PAGE}/x`), `${PAGE}/x`], [new Request('https://api.example/y', { headers: { 'x-other': '1' } }), 'https://api.example/y']]) {
      assert.equal((await tab.fetch(input)).status, 200)
      assert.deepEqual([seen.at(-1).url, seen.at(-1).token], [url, token])
    }
    assert.equal(seen.at(-1).other, '1')
    await tab.fetch('/z', { headers: { authorization: 'Basic x', 'x-other': '2' } })
    assert.deepEqual([seen.at(-1).token, seen.at(-1).other], [token, '2'])
    const count = seen.length
    const foreign = [
      'https://other.example/', 'https://api.example:8443/', 'http://api.example/', `${ISSUER}/token`, '//other.example/x', 'https://api.example.other.example/',
      'https://api.example@other.example/', `blob:${PAGE}/uuid`, 'data:,x', 'https:\\\\other.example/', new Request('https://other.example/'),
      // `fetch` takes what is no Request for its text.
      { url: `${PAGE}/x`, headers: {}, toString: () => 'https://other.example/' },
      Object.defineProperty(new Request('https://other.example/'), 'url', { value: `${PAGE}/x` }),
    ]
    for (const input of foreign) assert.equal(await codeOf(machine, tab.fetch(input)), 'origin_not_allowed', String(input))
    assert.equal(seen.length, count)
  })

  test('no redirect is followed, whatever the request says', async () => {
    const opaque = () => Object.defineProperty(new Response(''), 'type', { value: 'opaqueredirect' })
    const { machine, tab, seen } = await withService(opaque)
    assert.equal(await codeOf(machine, tab.fetch('/moved')), 'redirect_refused')
    assert.equal(await codeOf(machine, tab.fetch('/moved', { redirect: 'follow' })), 'redirect_refused')
    assert.equal(await codeOf(machine, tab.fetch(new Request(`${PAGE}/moved`))), 'redirect_refused')
    assert.equal((await tab.fetch('/moved', { redirect: 'manual' })).type, 'opaqueredirect')
    await tab.fetch('/moved', { redirect: 'error' })
    assert.deepEqual(seen.map(({ redirect }) => redirect), ['manual', 'manual', 'manual', 'manual', 'error'])
    // As a string, it is "follow".
    assert.equal(await codeOf(machine, tab.fetch('/moved', { redirect: ['follow'] })), 'redirect_refused')
  })

  test('a request that is refused with invalid_token is sent once more, with a new token and the same body', async () => {
    const bodies = ['text', new URLSearchParams('a=1'), new Blob(['blob']), new TextEncoder().encode('bytes'), undefined]
    for (const body of bodies) {
      const { issuer, tab, seen, token } = await withService((count) => (count === 1 ? refused(INVALID) : new Response('ok')))
      const response = await tab.fetch('/x', { method: 'POST', body })
      assert.equal(await response.text(), 'ok')
      assert.equal(issuer.count('/token'), 1)
      assert.equal(seen.length, 2)
      assert.equal(seen[0].body, seen[1].body)
      assert.equal(seen[0].token, token)
      assert.notEqual(seen[1].token, token)
    }
    const { tab, seen } = await withService((count) => (count === 1 ? refused(INVALID) : new Response('ok')))
    assert.equal((await tab.fetch(new Request(`${PAGE}/x`, { method: 'POST', body: 'of a Request' }))).status, 200)
    assert.deepEqual(seen.map(({ body }) => body), ['of a Request', 'of a Request'])
  })

  test('a stream is sent once', async () => {
    const { issuer, tab, seen } = await withService(() => refused(INVALID))
    const body = new Blob(['stream']).stream()
    assert.equal((await tab.fetch('/x', { method: 'POST', body, duplex: 'half' })).status, 401)
    assert.deepEqual([seen.length, seen[0].body, issuer.count('/token')], [1, 'stream', 0])
  })

  test('other refusals are not repeated', async () => {
    const challenges = [undefined, 'Bearer', 'Bearer error="insufficient_scope"', 'Basic realm="invalid_token"', 'Bearer error_description="not invalid_token"', 'Bearer error="invalid_token_x"']
    for (const challenge of challenges) {
      const { issuer, tab, seen } = await withService(() => refused(challenge))
      assert.equal((await tab.fetch('/x')).status, 401)
      assert.deepEqual([seen.length, issuer.count('/token')], [1, 0], challenge)
    }
    const { tab, seen } = await withService(() => new Response('', { status: 403, headers: { 'www-authenticate': INVALID } }))
    assert.equal((await tab.fetch('/x')).status, 403)
    assert.equal(seen.length, 1)
  })

  test('a service that refuses every token causes at most one refresh in ten seconds', async () => {
    const { machine, issuer, tab, seen } = await withService(() => refused(INVALID))
    for (let count = 0; count < 20; count++) assert.equal((await after(machine, 0.5, tab.fetch('/x'))).status, 401)
    assert.equal(issuer.count('/token'), 1)
    assert.equal(seen.length, 21)
    await machine.pass(10)
    await after(machine, 2, tab.fetch('/x'))
    assert.equal(issuer.count('/token'), 2)
  })

  test('a refused token that another tab has replaced meanwhile causes no refresh', async () => {
    const { machine, issuer, tab, seen } = await withService(async (count) => {
      if (count > 1) return new Response('ok')
      await machine.tabs[0].session.replace(await machine.tabs[0].session.accessToken())
      await machine.settle()
      return refused(INVALID)
    })
    assert.equal((await after(machine, 1, tab.fetch('/x'))).status, 200)
    assert.deepEqual([seen.length, issuer.count('/token')], [2, 1])
    // It counts for none of the next refusal.
    assert.notEqual(await after(machine, 2, tab.session.replace(await tab.session.accessToken())), undefined)
    assert.equal(issuer.count('/token'), 2)
  })

  test('a request of one login is not repeated in the name of the next', async () => {
    for (const isHere of [true, false]) {
      const { machine, tab, seen } = await withService(async () => {
        const actor = isHere ? tab : machine.tabs[0]
        await after(machine, 1, actor.session.logout())
        await after(machine, 1, actor.logIn())
        return refused(INVALID)
      })
      assert.equal((await tab.fetch('/x', { method: 'POST', body: 'of the first user' })).status, 401)
      assert.deepEqual([tab.status, seen.length], ['active', 1])
    }
  })

  test('a request of one session is not repeated in the name of another, which a page of another origin began', async () => {
    const { issuer, machine, tab, seen } = await withService(() => refused(INVALID))
    await issuer.fetch(`${ISSUER}/login`, { body: '{"password":"secret"}', credentials: 'include', signal: new AbortController().signal })
    assert.equal((await after(machine, 2, tab.fetch('/x', { method: 'POST', body: 'of the first user' }))).status, 401)
    assert.deepEqual([tab.status, seen.length, issuer.count('/token')], ['active', 1, 1])
  })

  test('if the session has ended, the refusal of the service is returned, and the state tells', async () => {
    const { machine, issuer, tab, seen } = await withService(() => refused(INVALID))
    issuer.current = 0
    assert.equal((await after(machine, 1, tab.fetch('/x'))).status, 401)
    assert.deepEqual([tab.status, seen.length], ['session_ended', 1])
    assert.equal(await codeOf(machine, tab.fetch('/x')), 'session_ended')
  })

  test('an aborted request does not wait for a token', async () => {
    const { machine, issuer, tab } = await withService(() => new Response('ok'))
    issuer.faults.push(silence)
    await machine.sleep(LIFETIME)
    const controller = new AbortController()
    const call = assert.rejects(tab.fetch('/x', { signal: controller.signal }), { name: 'AbortError' })
    await machine.settle()
    controller.abort()
    await call
    // The session has ended too, which nobody asks for any more.
    await after(machine, 1, tab.session.logout())
    await assert.rejects(tab.fetch('/x', { signal: AbortSignal.abort() }), { name: 'AbortError' })
  })
})
