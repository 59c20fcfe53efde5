// `countersign/session`: second factors, passkeys and fresh authentication, in browsers with clocks, timers, locks and messages of
// the test.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createSession, SessionError } from 'countersign/session'
import { CHALLENGE_LIFETIME, ISSUER, LIFETIME, Machine, passkey, refusal } from './support/tabs.js'

const MODES = ['cookie', 'memory']
const CODE = '123456'

const unreachable = () => Promise.reject(new TypeError('failed to fetch'))
const lost = (answer) => (answer(), unreachable())
const silence = () => new Promise(() => {})

/** Returns a machine with tabs, whose user has second factors. */
async function machineWith({ mode = 'cookie', methods = [], count = 1 } = {}) {
  const machine = new Machine()
  machine.issuer.methods = methods
  const tabs = Array.from({ length: count }, () => machine.open({ mode }))
  await machine.pass(5)
  machine.issuer.requests.length = 0
  return { machine, issuer: machine.issuer, tabs, tab: tabs[0] }
}

async function loggedIn(options) {
  const all = await machineWith(options)
  const { methods } = all.issuer
  all.issuer.methods = []
  await after(all.machine, all.tab.logIn(), 5)
  all.issuer.methods = methods
  all.issuer.requests.length = 0
  return all
}

/** Returns the result of a promise, while time passes. */
async function after(machine, promise, seconds = 2) {
  const outcome = promise.then((value) => ({ value }), (reason) => ({ reason }))
  await machine.pass(seconds)
  const { value, reason } = await Promise.race([outcome, { reason: new Error('there was no result in time') }])
  if (reason !== undefined) throw reason
  return value
}

/** Returns the code with which a promise is rejected, while time passes. */
async function codeOf(machine, promise, seconds = 2) {
  const error = await after(machine, promise.then(() => ({ code: 'none' }), (error) => error), seconds)
  if (error.code === 'none') return 'none'
  assert.ok(error instanceof SessionError, error.stack)
  assert.doesNotMatch(error.message, /secret|step-|challenge-|\p{Cc}/u)
  return error.code
}

const members = ({ body }) => JSON.parse(body)

for (const mode of MODES) {
  test(`with a second factor, a login resolves to the step that is left, which logs in (${mode})`, async () => {
    const { machine, issuer, tabs } = await machineWith({ mode, methods: ['totp', 'recovery_code'], count: 2 })
    const step = await after(machine, tabs[0].logIn())
    assert.deepEqual(step.methods, ['totp', 'recovery_code'])
    assert.deepEqual(tabs.map(({ states }) => states), Array(2).fill(['not_logged_in']))
    assert.equal(await after(machine, step.code(CODE)), undefined)
    assert.deepEqual(tabs.map(({ states }) => states), Array(2).fill(['not_logged_in', 'active']))
    assert.deepEqual(issuer.requests.map(({ path, body }) => [path, body]).at(-1), ['/login/second-factor', '{"mfa_token":"step-1","code":"123456"}'])
    assert.equal(await codeOf(machine, step.code(CODE)), 'login_expired')
    await machine.pass(LIFETIME * 2)
    assert.deepEqual(tabs.map(({ status }) => status), ['active', 'active'])
  })

  test(`a proof of the password is a fresh authentication for all tabs, and keeps the session (${mode})`, async () => {
    const { machine, issuer, tabs: [tab, other] } = await loggedIn({ mode, count: 2 })
    await machine.pass(600)
    assert.equal(await codeOf(machine, tab.session.accessToken(60)), 'insufficient_user_authentication')
    const [current, states] = [issuer.current, tab.states.length]
    assert.equal(await after(machine, tab.logins.again('secret')), undefined)
    const token = await after(machine, tab.session.accessToken(60))
    assert.equal(await after(machine, other.session.accessToken(60)), token)
    assert.deepEqual(issuer.requests.map(({ path }) => path), ['/token', '/login/again'])
    assert.deepEqual([issuer.current, tab.states.length], [current, states], 'the refresh token and the state stay')
    await machine.pass(LIFETIME * 2)
    assert.deepEqual([tab.status, other.status], ['active', 'active'])
  })
}

test('after a wrong code the same step goes on with the token of the answer', async () => {
  const { machine, issuer, tab } = await machineWith({ methods: ['totp'] })
  const step = await after(machine, tab.logIn())
  for (let guess = 0; guess < 3; guess++) assert.equal(await codeOf(machine, step.code('000000')), 'second_factor_failed')
  assert.equal(await codeOf(machine, step.recoveryCode('no')), 'second_factor_failed')
  assert.equal(await codeOf(machine, step.recoveryCode('abcde-12345')), 'none')
  assert.equal(tab.status, 'active')
  const tokens = issuer.requests.slice(1).map((request) => members(request).mfa_token)
  assert.deepEqual(tokens, ['step-1', 'step-2', 'step-3', 'step-4', 'step-5'])
})

test('two codes at the same time are sent one after the other', async () => {
  const { machine, tab } = await machineWith({ methods: ['totp'] })
  const step = await after(machine, tab.logIn())
  const codes = await Promise.all([codeOf(machine, step.code('000000')), codeOf(machine, step.code(CODE))])
  assert.deepEqual(codes, ['second_factor_failed', 'none'])
})

test('each refusal of a second factor has its code', async () => {
  const { machine, issuer, tab } = await machineWith({ methods: ['totp'] })
  const step = await after(machine, tab.logIn())
  const cases = [
    [() => refusal(429, 'too_many_requests', 'wait', { 'retry-after': '7' }), 'too_many_logins'],
    [() => refusal(403, 'access_denied', 'another site'), 'access_denied'],
    [() => refusal(503, 'temporarily_unavailable', 'away'), 'issuer_unavailable'],
    [() => new Response('<html>', { status: 200 }), 'issuer_unavailable'],
    [unreachable, 'issuer_unavailable'],
  ]
  for (const [fault, code] of cases) {
    issuer.faults.push(fault)
    assert.equal(await codeOf(machine, step.code(CODE)), code)
  }
  assert.equal(await codeOf(machine, step.code(CODE)), 'none', 'the issuer has not used the token')
})

test('if the answer to a code is lost, the login begins again, and no session is half there', async () => {
  const { machine, issuer, tab } = await machineWith({ mode: 'memory', methods: ['totp'] })
  const step = await after(machine, tab.logIn())
  issuer.faults.push(lost)
  assert.equal(await codeOf(machine, step.code(CODE)), 'issuer_unavailable')
  assert.equal(await codeOf(machine, step.code(CODE)), 'login_expired')
  assert.equal(tab.status, 'not_logged_in')
  assert.equal(await codeOf(machine, (await after(machine, tab.logIn())).code(CODE)), 'none')
})

test('a code that is sent after a login by another step, or by a logout, keeps the order of the calls', async () => {
  const { machine, tab } = await machineWith({ methods: ['totp'] })
  const step = await after(machine, tab.logIn())
  const calls = [step.code(CODE), tab.session.logout()]
  await after(machine, Promise.all(calls))
  assert.equal(tab.status, 'not_logged_in')
})

test('a first TOTP is confirmed during the login, and the recovery codes reach the caller alone', async () => {
  const { machine, issuer, tabs: [tab, other] } = await machineWith({ mode: 'memory', methods: ['totp_enrolment'], count: 2 })
  const step = await after(machine, tab.logIn())
  const enrolment = await after(machine, step.enrol())
  assert.deepEqual([enrolment.secret, enrolment.uri], ['MFRGGZDF', 'otpauth://totp/x'])
  assert.equal(await codeOf(machine, enrolment.confirm('000000')), 'second_factor_failed')
  assert.deepEqual(await after(machine, enrolment.confirm(CODE)), ['one', 'two'])
  assert.deepEqual([tab.status, other.status], ['active', 'active'])
  assert.deepEqual(issuer.requests.slice(1).map(({ path }) => path), ['/login/totp', '/login/second-factor', '/login/second-factor'])
  assert.doesNotMatch(JSON.stringify(machine.messages), /"one"/)
})

test('a passkey is a second factor, for which the issuer gets the challenge of this login', async () => {
  const { machine, issuer, tab } = await machineWith({ methods: ['passkey'] })
  const step = await after(machine, tab.logIn())
  let asked
  tab.credentials.get = async (options) => ((asked = options), passkey())
  assert.equal(await codeOf(machine, step.passkey()), 'none')
  assert.deepEqual(asked.publicKey, {
    challenge: Uint8Array.of(0, 1, 2, 251, 255), rpId: 'app.example', allowCredentials: [{ id: Uint8Array.of(1, 2), type: 'public-key' }],
  })
  assert.deepEqual(issuer.requests.slice(1).map(members), [
    { mfa_token: 'step-1' },
    {
      mfa_token: 'step-1', challenge_token: 'challenge-2',
      credential: {
        id: 'AQI', rawId: 'AQI', type: 'public-key', authenticatorAttachment: 'platform', clientExtensionResults: {},
        response: { clientDataJSON: '-_8', authenticatorData: 'AA', signature: 'AwQ', userHandle: 'Bw' },
      },
    },
  ])
})

test('a passkey alone logs in, in all tabs', async () => {
  for (const mode of MODES) {
    const { machine, issuer, tabs: [tab, other] } = await machineWith({ mode, count: 2 })
    assert.equal(await codeOf(machine, tab.logins.loginWithPasskey()), 'none')
    assert.deepEqual([tab.status, other.status], ['active', 'active'])
    assert.deepEqual(issuer.requests.map(({ path }) => path), ['/login/passkey/options', '/login/passkey'])
    assert.equal(members(issuer.requests[1]).session, mode === 'cookie' ? 'cookie' : 'token')
  }
})

test('each refusal of a passkey has its code', async () => {
  const { machine, issuer, tab } = await machineWith()
  const failing = (name) => () => Promise.reject(new DOMException('', name))
  const cases = [
    [() => Promise.resolve(passkey([0])), 'login_failed'],
    [() => Promise.resolve(null), 'passkey_cancelled'],
    [failing('NotAllowedError'), 'passkey_cancelled'],
    [failing('SecurityError'), 'passkey_unavailable'],
    [failing('NotSupportedError'), 'passkey_unavailable'],
  ]
  for (const [get, code] of cases) {
    tab.credentials.get = get
    assert.equal(await codeOf(machine, tab.logins.loginWithPasskey()), code)
  }
  issuer.faults.push(() => refusal(404, 'not_found', 'passkeys are not configured'))
  assert.equal(await codeOf(machine, tab.logins.loginWithPasskey()), 'passkey_unavailable')
  issuer.faults.push(() => Response.json({ challenge_token: 'x', expires_in: 300, public_key: { challenge: '!' } }))
  assert.equal(await codeOf(machine, tab.logins.loginWithPasskey()), 'passkey_unavailable')
  tab.credentials = undefined
  assert.equal(await codeOf(machine, tab.logins.loginWithPasskey()), 'passkey_unavailable')
  assert.equal(tab.status, 'not_logged_in')
})

/** A form field that suggests passkeys: `choose` takes one. `requests` are the browser's. */
function formField(tab) {
  const field = { requests: [] }
  tab.credentials.get = (options) => new Promise((resolve, reject) => {
    field.requests.push(options)
    field.choose = () => resolve(passkey())
    options.signal.addEventListener('abort', () => reject(options.signal.reason))
  })
  return field
}

test('suggested passkeys always answer a challenge that is young enough', async () => {
  const { machine, issuer, tab } = await machineWith()
  const field = formField(tab)
  const login = tab.logins.loginWithPasskey({ mediation: 'conditional' })
  await machine.pass(CHALLENGE_LIFETIME * 4)
  assert.equal(issuer.count('/login/passkey/options'), 6)
  assert.deepEqual(new Set(field.requests.map(({ mediation }) => mediation)), new Set(['conditional']))
  assert.deepEqual(field.requests.map(({ signal }) => signal.aborted), [true, true, true, true, true, false])
  field.choose()
  assert.equal(await codeOf(machine, login), 'none')
  assert.equal(tab.status, 'active')
  await machine.pass(CHALLENGE_LIFETIME)
  assert.equal(issuer.count('/login/passkey/options'), 6)
})

test('suggested passkeys end with a login by another way, also in another tab', async () => {
  for (const actor of [0, 1]) {
    const { machine, issuer, tabs } = await machineWith({ count: 2 })
    const field = formField(tabs[0])
    const login = tabs[0].logins.loginWithPasskey({ mediation: 'conditional' }).catch(({ code }) => code)
    await machine.settle()
    assert.equal(await codeOf(machine, tabs[actor].logins.login('alice', 'wrong')), 'login_failed')
    assert.equal(field.requests[0].signal.aborted, false, 'a wrong password leaves them')
    await after(machine, tabs[actor].logIn())
    assert.equal(await login, 'passkey_cancelled')
    assert.equal(issuer.count('/login/passkey'), 0)
  }
})

test('a page asks for one passkey at a time, and ends its request by a signal or by close', async () => {
  const { machine, tab } = await machineWith()
  const field = formField(tab)
  const first = tab.logins.loginWithPasskey({ mediation: 'conditional' })
  await machine.settle()
  const controller = new AbortController()
  const second = tab.logins.loginWithPasskey({ signal: controller.signal })
  assert.equal(await codeOf(machine, first), 'passkey_cancelled')
  const reason = new Error('of the page')
  controller.abort(reason)
  await assert.rejects(second, reason)
  await assert.rejects(tab.logins.loginWithPasskey({ signal: controller.signal }), reason)
  assert.deepEqual(field.requests.map(({ mediation }) => mediation), ['conditional', undefined])
  const third = tab.logins.loginWithPasskey()
  await machine.settle()
  tab.logins.close()
  assert.equal(await codeOf(machine, third), 'passkey_cancelled')
})

test('a browser that suggests no passkeys says so before the issuer is asked', async () => {
  const { machine, issuer, tab } = await machineWith()
  tab.suggestsPasskeys = false
  assert.equal(await codeOf(machine, tab.logins.loginWithPasskey({ mediation: 'conditional' })), 'passkey_unavailable')
  assert.equal(issuer.requests.length, 0)
})

test('a token with a young authentication is asked for once, and shared', async () => {
  const { machine, issuer, tabs: [tab, other] } = await loggedIn({ count: 2 })
  await machine.pass(30)
  const token = await after(machine, tab.session.accessToken(60))
  assert.match(issuer.requests.at(-1).body, /max_age=60/)
  assert.deepEqual(await Promise.all([tab, other, tab].map(({ session }) => session.accessToken(60))), [token, token, token])
  assert.equal(await tab.session.accessToken(), token)
  assert.equal(issuer.requests.length, 1)
  await machine.pass(31)
  assert.equal(await codeOf(machine, other.session.accessToken(60)), 'insufficient_user_authentication')
  assert.equal(await codeOf(machine, other.session.accessToken(3600)), 'none')
})

test('an authentication that is too old changes nothing, in no tab', async () => {
  const { machine, issuer, tabs } = await loggedIn({ mode: 'memory', count: 3 })
  await machine.pass(100)
  const before = await tabs[0].session.accessToken()
  assert.equal(await codeOf(machine, tabs[0].session.accessToken(60)), 'insufficient_user_authentication')
  await machine.pass(10)
  assert.equal(issuer.requests.length, 1, 'no tab refreshes')
  for (const { session, states } of tabs) assert.deepEqual([await session.accessToken(), states], [before, ['not_logged_in', 'active']])
  await machine.pass(LIFETIME)
  assert.equal(issuer.count('/token'), 2)
})

test('an issuer that ignores max_age gives no fresh token', async () => {
  const { machine, issuer, tab } = await loggedIn()
  const tokens = issuer.tokens
  issuer.tokens = (number, usesCookie) => tokens.call(issuer, number, usesCookie)
  assert.equal(await codeOf(machine, tab.session.accessToken(60)), 'insufficient_user_authentication')
  issuer.tokens = (number, usesCookie) => tokens.call(issuer, number, usesCookie, { auth_time: issuer.now - 100 })
  assert.equal(await codeOf(machine, tab.session.accessToken(60)), 'insufficient_user_authentication')
  assert.equal(tab.status, 'active')
})

test('without an answer, no fresh token comes, the session stays, and the issuer is not asked at each call', async () => {
  for (const code of ['offline', 'issuer_unavailable']) {
    const { machine, issuer, tab } = await loggedIn()
    if (code === 'offline') machine.isOnline = false
    else issuer.fetch = unreachable
    assert.equal(await codeOf(machine, tab.session.accessToken(60), 3), code)
    const before = issuer.requests.length
    const calls = Array.from({ length: 10 }, () => tab.session.accessToken(60).catch((error) => error.code))
    assert.deepEqual(new Set(await after(machine, Promise.all(calls), 10)), new Set([code]))
    assert.ok(issuer.requests.length <= before + 6, `${issuer.requests.length - before} requests`)
    assert.equal(tab.status, 'active')
  }
})

test('if a tab is closed in the middle of a fresh refresh, another one takes over within the grace', async () => {
  const { machine, issuer, tabs: [tab, other] } = await loggedIn({ count: 2 })
  issuer.faults.push((answer) => (answer(), silence()))
  tab.session.accessToken(60)
  await machine.pass(1)
  tab.close()
  await machine.pass(2)
  assert.equal(issuer.count('/token'), 2)
  await machine.pass(LIFETIME)
  assert.equal(other.status, 'active')
})

test('a session that has ended is found by the request for a fresh token', async () => {
  const { machine, issuer, tabs: [tab, other] } = await loggedIn({ count: 2 })
  issuer.current = 0
  assert.equal(await codeOf(machine, tab.session.accessToken(60)), 'session_ended')
  assert.equal(other.status, 'session_ended')
  assert.equal(await codeOf(machine, other.logins.again('secret')), 'session_ended')
})

test('an authentication after a refresh whose answer was lost keeps the session, and one of an ended session ends it here', async () => {
  for (const mode of MODES) {
    const { machine, issuer, tabs: [tab, other] } = await loggedIn({ mode, count: 2 })
    issuer.current++
    issuer.rotatedAt = issuer.now
    assert.equal(await codeOf(machine, tab.logins.again('secret')), 'none')
    assert.equal(await codeOf(machine, other.session.accessToken(60)), 'none')
    issuer.current = 0
    assert.equal(await codeOf(machine, tab.logins.again('secret')), 'session_ended')
    assert.deepEqual([tab.status, other.status], ['session_ended', 'session_ended'])
  }
})

test('a wrong password for an authentication leaves the session', async () => {
  const { machine, tab } = await loggedIn()
  assert.equal(await codeOf(machine, tab.logins.again('wrong')), 'login_failed')
  assert.deepEqual(tab.states, ['not_logged_in', 'active'])
})

test('an authentication has the second factor of a login', async () => {
  for (const mode of MODES) {
    const { machine, issuer, tab } = await loggedIn({ mode, methods: ['totp', 'passkey'] })
    await machine.pass(100)
    const step = await after(machine, tab.logins.again('secret'))
    assert.equal(await codeOf(machine, tab.session.accessToken(60)), 'insufficient_user_authentication', 'half is not enough')
    assert.equal(await codeOf(machine, step.code('000000')), 'second_factor_failed')
    assert.equal(await codeOf(machine, step.code(CODE)), 'none')
    assert.equal(await codeOf(machine, tab.session.accessToken(60)), 'none')
    await machine.pass(100)
    assert.equal(await codeOf(machine, tab.logins.againWithPasskey()), 'none')
    assert.equal(await codeOf(machine, tab.session.accessToken(60)), 'none')
    assert.equal(issuer.count('/logout'), 0)
    assert.deepEqual(tab.states, ['not_logged_in', 'active'])
  }
})

test('an authentication of a session that is over, or of another one, gives no token', async () => {
  const { machine, issuer, tab } = await loggedIn({ methods: ['totp'] })
  const step = await after(machine, tab.logins.again('secret'))
  const { pending } = issuer
  await after(machine, tab.session.logout())
  assert.equal(await codeOf(machine, step.code(CODE)), 'not_logged_in')
  issuer.methods = []
  await after(machine, tab.logIn())
  const token = await tab.session.accessToken()
  issuer.pending = pending
  // The answer is one of the session before.
  issuer.first--
  assert.equal(await codeOf(machine, step.code(CODE)), 'login_expired')
  assert.equal(await tab.session.accessToken(), token)
})

test('a wrong maxAge is refused, and so are proofs that are no texts', async () => {
  const session = createSession({ issuer: ISSUER, fetch: unreachable })
  for (const maxAge of [0, -1, 1.5, NaN, Infinity, '60', null]) {
    await assert.rejects(session.accessToken({ maxAge }), ({ code, reason }) => code === 'options_invalid' && reason === 'maxAge')
  }
  for (const proof of [undefined, {}, { password: 1 }]) await assert.rejects(session.again(proof), { code: 'login_failed' })
  assert.equal(session.state.status, 'starting')
  session.close()
})
