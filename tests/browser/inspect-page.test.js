import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { after, afterEach, before, beforeEach, describe, test } from 'node:test'
import { createDemoServer } from '../../www/server.js'
import { makeKey, makeToken } from '../js/package-tokens.js'
import { launchChromium, skipChromium } from '../runtimes/chromium.js'

const ISSUER = 'https://auth.example'
const key = makeKey('k1')
const keys = JSON.stringify({ keys: [key.jwk] })
const now = Math.floor(Date.now() / 1000)
const claims = (changes = {}) => ({ iss: ISSUER, aud: 'api', sub: 'somebody', iat: now, exp: now + 900, ...changes })
const good = makeToken(key, claims())
const base64url = (text) => Buffer.from(text).toString('base64url')

describe('the page Inspect in Chromium', { skip: skipChromium }, () => {
  let server, url, browser, page, problems, requests

  before(async () => {
    // The page does not use the issuer.
    server = await createDemoServer({ issuer: ISSUER, audience: 'api', username: 'demo', password: 'not a secret', keysCommand: ['true'], planCommand: ['true'] })
    // The server redirects to the name under which it wants to be seen.
    url = new URL((await fetch(`http://127.0.0.1:${await listen(server)}`)).url).origin
    browser = await launchChromium()
  })

  after(async () => {
    await browser?.close()
    server?.close()
    server?.closeAllConnections()
  })

  beforeEach(async () => {
    const context = await browser.newContext()
    page = await context.newPage()
    page.setDefaultTimeout(15_000)
    problems = []
    requests = []
    // The browser also logs violations of the Content-Security-Policy.
    page.on('console', (message) => {
      if (['error', 'warning'].includes(message.type())) problems.push(`${message.text()} ${message.location().url}`)
    })
    page.on('pageerror', (error) => problems.push(String(error)))
    page.on('request', (request) => requests.push(request.url()))
    await open()
  })

  afterEach(async () => {
    await page.context().close()
    assert.deepEqual(problems, [])
  })

  async function open(fragment = '') {
    await page.goto(`${url}/inspect.html${fragment}`)
    await page.waitForLoadState('networkidle')
  }

  const text = (selector) => page.locator(selector).textContent()
  const waitForCode = (code) => page.locator('#verdict #code', { hasText: new RegExp(`^${code}$`) }).waitFor()
  const waitForNone = (why) => page.locator('#verdict .message', { hasText: why }).waitFor()

  async function paste(token, set = keys) {
    await page.fill('#keys', set)
    await page.fill('#token', token)
  }

  test('a token gets its verdict, its parts and the meaning of its claims', async () => {
    await paste(good)
    await waitForCode('ok')
    assert.equal(await text('#encoded'), good)
    assert.deepEqual(await page.locator('#encoded > :not(.dot)').evaluateAll((parts) => parts.map(({ className }) => className)), ['header', 'payload', 'signature'])
    const exp = page.locator('.claims > div', { has: page.locator('dt', { hasText: /^exp$/ }) })
    assert.match(await exp.textContent(), /in 1\d min.*: not expired.*expires at RFC 7519 §4\.1\.4/)
    assert.match(await text('section.signature'), /256 bytes, 2048 bits/)
    assert.match(await text('#findings'), /^k1 RSA, 2048 bits the token’s usable$/)
    assert.equal(await page.inputValue('#option-issuer'), ISSUER)
    assert.match(await text('#javascript'), /from 'countersign'[^]*issuer: 'https:\/\/auth\.example',\n {2}audience: 'api',\n {2}jwks: keySet/)
  })

  const REFUSED = {
    'that is expired': { token: makeToken(key, claims({ exp: now - 60 })), code: 'token_expired', shows: /\d+ min( \d+ s)? ago: expired/ },
    'that was changed': { token: good.replace(/\..*\./, `.${base64url(JSON.stringify(claims({ sub: 'admin' })))}.`), code: 'signature_invalid', shows: /"admin"/ },
    'of another key with the same name': { token: makeToken(makeKey('k1'), claims()), code: 'signature_invalid', shows: /somebody/ },
    'of a key that the set lacks': { token: makeToken(makeKey('k2'), claims()), code: 'key_not_found', shows: /"k2"/ },
    'with alg none': { token: `${base64url('{"alg":"none","typ":"at+jwt"}')}.${base64url(JSON.stringify(claims()))}.`, code: 'token_malformed', shows: /The token is unsigned: its alg is none.*The signature: is empty\./ },
    'with alg none and a signature': { token: makeToken(key, claims(), { alg: 'none' }), code: 'algorithm_not_allowed', shows: /no signature at all: refused/ },
    'that is encrypted': { token: `${base64url('{"alg":"dir","enc":"A128GCM"}')}..abc.def.ghi`, code: 'token_malformed', shows: /an encrypted token \(JWE\).*has 4 dots: expected two[^]*"A128GCM"/ },
    'with padding': { token: `${good}=`, code: 'token_malformed', shows: new RegExp(`The signature, character ${(good.length + 1).toLocaleString('en')} of the text: has padding`) },
    'with a claim twice': { token: makeToken(key, '{"iss":"a","iss":"b"}'), code: 'token_malformed', shows: /has the member "iss" twice, at character 12 after decoding/ },
    'that was cut off': { token: good.slice(0, good.indexOf('.') + 60), code: 'token_malformed', shows: /cut off in the payload[^]*audience[^]*cut off"s/ },
    'that is 100 KB of garbage': { token: 'x'.repeat(100_000), code: 'token_too_large', shows: /opaque token.*has 0 dots/ },
  }
  for (const [what, { token, code, shows }] of Object.entries(REFUSED)) {
    test(`a token ${what} is refused, and the page says why`, async () => {
      await paste(token)
      await waitForCode(code)
      assert.match(await text('.parts'), shows)
    })
  }

  test('a text longer than any token is not read', async () => {
    await paste(`${'x'.repeat(300_000)}`)
    await page.locator('#faults', { hasText: /has 300,000 characters/ }).waitFor()
    await waitForNone(/no token that can be read/)
  })

  test('without keys nothing is verified, but what needs no key is refused', async () => {
    await paste(good, '')
    await waitForNone(/keys are missing/)
    await paste(makeToken(key, claims(), { alg: 'HS256' }), '')
    await waitForCode('algorithm_not_allowed')
  })

  test('the options are followed, once they do not come from the token', async () => {
    await paste(good)
    await waitForCode('ok')
    for (const [name, value, code] of [
      ['issuer', 'https://other.example', 'issuer_mismatch'],
      ['audience', 'other', 'audience_mismatch'],
      ['type', 'JWT', 'type_mismatch'],
      ['claims', 'sub=nobody', 'claim_mismatch'],
      ['requiredClaims', 'jti', 'claim_missing'],
      ['scope', 'write', 'scope_insufficient'],
      ['maxTokenBytes', '100', 'token_too_large'],
      ['time', String(now + 1000), 'token_expired'],
    ]) {
      const before = await page.inputValue(`#option-${name}`)
      await page.fill(`#option-${name}`, value)
      await waitForCode(code)
      await page.fill(`#option-${name}`, before)
      await waitForCode('ok')
    }
    assert.equal(await page.isChecked('#follow'), false)
    await page.fill('#option-time', String(now + 930))
    await waitForCode('token_expired')
    await page.fill('#option-clockTolerance', '60')
    await waitForCode('ok')
    assert.match(await text('#javascript'), /clockTolerance: 60,\n/)
  })

  test('a wrong option is named at its field', async () => {
    await paste(good)
    for (const [name, value] of [['clockTolerance', '301'], ['maxTokenAge', 'old'], ['time', 'tomorrow'], ['claims', 'client_id'], ['issuer', '']]) {
      const before = await page.inputValue(`#option-${name}`)
      await page.fill(`#option-${name}`, value)
      await waitForNone(/An option is wrong/)
      await page.locator(`#problem-${name}`, { hasText: /./ }).waitFor()
      assert.equal(await page.getAttribute(`#option-${name}`, 'aria-invalid'), 'true')
      await page.fill(`#option-${name}`, before)
      await waitForCode('ok')
      assert.equal(await text(`#problem-${name}`), '')
    }
  })

  test('keys are checked as countersign lint does', async () => {
    const ec = { kty: 'EC', kid: 'ec', crv: 'P-256' }
    const secret = { kty: 'oct', kid: 'mac', k: 'AAAA' }
    await page.fill('#keys', JSON.stringify({ keys: [key.jwk, { ...key.jwk, kid: 'twice' }, ec] }))
    await page.locator('#findings li').nth(2).waitFor()
    assert.match(await text('#findings'), /ec EC, P-256 not usable: its kty is not "RSA"/)
    await page.fill('#keys', JSON.stringify({ keys: [key.jwk, secret] }))
    await page.locator('.secret').waitFor()
    for (const [set, says] of [['{', /is not JSON/], [good, /is a token, not a key set/], ['-----BEGIN PUBLIC KEY-----', /is PEM/], ['{"keys":[],"keys":[]}', /twice|duplicate/]]) {
      await page.fill('#keys', set)
      await page.locator('#keys-problem', { hasText: says }).waitFor()
      assert.equal(await page.locator('#findings li').count(), 0)
    }
  })

  test('a key set is fetched on a press alone, and without the token', async () => {
    const asked = []
    const other = createServer((request, response) => {
      asked.push(request)
      const metadata = JSON.stringify({ issuer: ISSUER, jwks_uri: `${origin}/keys` })
      response.writeHead(200, { 'access-control-allow-origin': '*', 'content-type': 'application/json' })
      response.end(request.url === '/keys' ? keys : metadata)
    })
    const origin = `http://127.0.0.1:${await listen(other)}`
    try {
      await page.fill('#token', makeToken(key, claims({ iss: origin })))
      await waitForNone(/keys are missing/)
      await page.click('#take')
      assert.equal(await page.inputValue('#jwks'), `${origin}/.well-known/openid-configuration`)
      assert.deepEqual(asked, [])
      await page.click('#fetch')
      await page.locator('#notice', { hasText: /issuer’s metadata/ }).waitFor()
      await page.click('#fetch')
      await waitForCode('ok')
      assert.deepEqual(asked.map((request) => request.url), ['/.well-known/openid-configuration', '/keys'])
      assert.match(await text('#javascript'), new RegExp(`jwks: '${origin}/keys'`))
    } finally {
      other.close()
      other.closeAllConnections()
    }
    await page.fill('#jwks', 'http://auth.example/keys')
    await page.click('#fetch')
    await page.locator('.notice.error', { hasText: /expected https:/ }).waitFor()
  })

  test('after it was loaded, the page works offline, and nothing leaves it', async () => {
    await page.context().setOffline(true)
    const loaded = requests.length
    // The tab's picture may be late.
    problems = problems.filter((problem) => !/favicon/.test(problem))
    await page.click('#example')
    await waitForCode('ok')
    await paste(REFUSED['with alg none'].token, '{')
    await waitForCode('token_malformed')
    await page.fill('#token', good)
    await page.fill('#option-clockTolerance', '-1')
    await waitForNone(/clockTolerance/)
    await page.fill('#keys', '{"keys":[{}]}')
    await page.locator('#findings li').waitFor()
    assert.deepEqual(requests.slice(loaded), [])
  })

  test('a link has everything in its fragment, which then leaves the address', async () => {
    await page.context().grantPermissions(['clipboard-read', 'clipboard-write'])
    await paste(good)
    await page.fill('#option-scope', 'admin')
    await waitForCode('scope_insufficient')
    await page.click('#link')
    await page.locator('#notice', { hasText: /Whoever has the link has the token/ }).waitFor()
    const link = new URL(await page.evaluate(() => navigator.clipboard.readText()))
    assert.equal(link.search, '')
    await open()
    await open(link.hash)
    await waitForCode('scope_insufficient')
    assert.equal(page.url(), `${url}/inspect.html`)
    await open(`#token=${good}`)
    await waitForNone(/keys are missing/)
    await page.click('#clear')
    assert.equal(await page.locator('#verdict').isVisible(), false)
    assert.ok(requests.every((request) => !request.includes(good)))
  })

  test('a verdict is announced once, and again only when it changes', async () => {
    await page.clock.install()
    await paste(makeToken(key, claims({ exp: Math.floor(Date.now() / 1000) + 120 })))
    await page.clock.runFor(1000)
    await waitForCode('ok')
    await page.evaluate(() => {
      globalThis.announced = 0
      new MutationObserver(() => (globalThis.announced += 1)).observe(document.getElementById('verdict'), { childList: true, subtree: true })
    })
    await page.clock.runFor(30_000)
    assert.equal(await page.evaluate(() => globalThis.announced), 0)
    await page.clock.fastForward(120_000)
    await waitForCode('token_expired')
  })

  test('every control has a name, every id is unique, and nothing overflows a narrow screen', async () => {
    await page.setViewportSize({ width: 360, height: 780 })
    for (const token of ['', good, REFUSED['that is 100 KB of garbage'].token]) {
      await paste(token, token && keys)
      if (token !== '') await page.locator('#verdict .word').waitFor()
      assert.deepEqual(await page.evaluate(faultsOfPage), { nameless: [], twice: [], pointing: [], overflow: 0 })
    }
  })
})

function faultsOfPage() {
  const nameless = [...document.querySelectorAll('button, input, textarea, select')].filter(
    (control) => !(control.getAttribute('aria-label') ?? control.labels?.[0]?.textContent ?? control.textContent).trim(),
  )
  const ids = [...document.querySelectorAll('[id]')].map(({ id }) => id)
  const pointing = [...document.querySelectorAll('[aria-labelledby], [aria-describedby]')]
    .flatMap((element) => `${element.getAttribute('aria-labelledby') ?? ''} ${element.getAttribute('aria-describedby') ?? ''}`.split(' '))
    .filter((id) => id !== '' && document.getElementById(id) === null)
  const { scrollWidth, clientWidth } = document.documentElement
  return { nameless: nameless.map(({ id }) => id), twice: ids.filter((id, i) => ids.indexOf(id) !== i), pointing, overflow: scrollWidth - clientWidth }
}

async function listen(server) {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return server.address().port
}
