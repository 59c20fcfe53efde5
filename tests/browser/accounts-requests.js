// Requests to the example `issuer/examples/accounts` that no page of it sends.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request } from 'node:http'
import { setTimeout } from 'node:timers/promises'
import { tamperWith } from '../js/support/tampering.js'

const JSON_TYPE = { 'content-type': 'application/json' }
const PASSWORD = 'seven lanterns under plums'

/** Addresses that a mail could not go to, or that hide another one. */
const BAD_EMAILS = ['', 'a', 'a@b', '@b.example', 'a b@c.example', 'a@b.example\r\nBcc: c@d.example', 'ａda@example.com', `${'a'.repeat(120)}@b.example`]

/** Checks that malformed and foreign requests are refused, and have no effect. */
export async function refusesBadRequests({ origin, token }) {
  const send = (method, path, init) => sendRaw(origin, method, path, init)
  const post = (path, body, headers = {}) => send('POST', path, { body, headers: { origin, ...JSON_TYPE, ...headers } })
  const refused = async (promise, status, error) => {
    const { status: actual, body } = await promise
    assert.deepEqual([actual, JSON.parse(body).error], [status, error])
    assert.match(JSON.parse(body).error_description, /\w/)
  }
  const mails = async () => (await send('GET', '/mailbox')).body.match(/<li class="card">/g)?.length ?? 0
  const before = await mails()

  for (const path of ['/api/register', '/api/password-reset']) {
    const good = JSON.stringify({ email: 'eve@example.com' })
    await refused(send('POST', path, { body: good, headers: JSON_TYPE }), 403, 'origin_not_allowed')
    await refused(post(path, good, { origin: 'http://localhost:1' }), 403, 'origin_not_allowed')
    await refused(post(path, good, { origin: 'null' }), 403, 'origin_not_allowed')
    await refused(post(path, good, { host: 'evil.example' }), 421, 'misdirected_request')
    await refused(post(path, good, { 'content-type': 'text/plain' }), 415, 'unsupported_media_type')
    await refused(post(path, 'email=eve@example.com', { 'content-type': 'application/x-www-form-urlencoded' }), 415, 'unsupported_media_type')
    for (const body of ['', '{', 'null', '[]', '7', '{}', '{"email":7}', '{"email":"e@x.example","scope":"admin"}', '{"__proto__":{"email":"e@x.example"}}', Buffer.of(0x22, 0xff, 0x22)]) {
      await refused(post(path, body), 400, 'invalid_request')
    }
    for (const email of BAD_EMAILS) await refused(post(path, JSON.stringify({ email })), 400, 'invalid_request')
    await refused(post(path, JSON.stringify({ email: 'a'.repeat(9000) })), 413, 'content_too_large')
    await refused(send('GET', path), 405, 'method_not_allowed')
  }
  assert.equal(await mails(), before, 'a refused request sent a mail')

  for (const path of ['/src/app.js', '/package.json', '/dev.js', '/data/issuer.db', '/../package.json', '/..%2fpackage.json', '/modules/countersign/../package.json', '/__proto__', '/constructor', '//', '/api']) {
    await refused(send('GET', path), 404, 'not_found')
  }
  assert.equal((await send('HEAD', '/')).status, 200)
  const policy = (await send('GET', '/')).headers['content-security-policy']
  assert.match(policy, /default-src 'none'/)
  assert.doesNotMatch(policy, /unsafe|\*/)

  await refused(send('GET', '/api/note'), 401, 'unauthorized')
  await refused(send('GET', '/api/note', { headers: { cookie: 'token=x' } }), 401, 'unauthorized')
  const bearer = { authorization: `Bearer ${token}` }
  assert.equal((await send('GET', '/api/note', { headers: bearer })).status, 200)
  await refused(send('GET', '/api/note', { headers: { authorization: `Bearer ${tamperWith(token)}` } }), 401, 'invalid_token')
  await refused(send('GET', `/api/note?access_token=${token}`, { headers: bearer }), 400, 'invalid_request')
  const put = (body) => send('PUT', '/api/note', { body, headers: { origin, ...JSON_TYPE, ...bearer } })
  await refused(put(JSON.stringify({ text: 'a'.repeat(1001) })), 400, 'invalid_request')
  await refused(put(JSON.stringify({ text: 1 })), 400, 'invalid_request')
  assert.equal(JSON.parse((await send('GET', '/api/note', { headers: bearer })).body).text, '')
}

/** Checks that a deletion needs a token that says when its user has authenticated. */
export async function refusesStaleTokens({ origin, token }) {
  const { status, headers } = await sendRaw(origin, 'DELETE', '/api/account', { headers: { origin, authorization: `Bearer ${token}` } })
  assert.deepEqual([status, headers['www-authenticate']], [401, 'Bearer error="insufficient_user_authentication", max_age="300"'])
}

/** Registers a user as a program does, and returns an access token. */
export async function newUser({ origin, issuer, email = 'eve@example.com' }) {
  const send = (method, path, init) => sendRaw(origin, method, path, init)
  assert.equal((await send('POST', '/api/register', { body: JSON.stringify({ email }), headers: { origin, ...JSON_TYPE } })).status, 202)
  const token = await linkFor(origin, email)
  const json = (path, body) => fetch(issuer + path, { method: 'POST', headers: JSON_TYPE, body: JSON.stringify(body) })
  assert.equal((await json('/password/reset', { token, new_password: PASSWORD })).status, 204)
  return (await (await json('/login', { username: email, password: PASSWORD })).json()).access_token
}

/** Waits for a mail, and returns the token of its link. */
async function linkFor(origin, email) {
  for (let attempt = 0; attempt < 100; attempt++) {
    const { body } = await sendRaw(origin, 'GET', '/mailbox')
    const [, token] = new RegExp(`to ${email},.*?#password=([\\w-]+)`, 's').exec(body) ?? []
    if (token !== undefined) return token
    await setTimeout(50)
  }
  throw new Error(`there is no mail to ${email}`)
}

/** Checks that the answers do not tell which addresses have an account, and that mails have limits. */
export async function limitsMails({ origin }) {
  const post = (path, email) => sendRaw(origin, 'POST', path, { body: JSON.stringify({ email }), headers: { origin, ...JSON_TYPE } })
  const known = await post('/api/password-reset', 'eve@example.com')
  const unknown = await post('/api/password-reset', 'nobody@example.com')
  assert.deepEqual([known.status, known.body], [unknown.status, unknown.body])
  const again = await post('/api/register', 'EVE@example.com')
  assert.deepEqual([again.status, again.body], [known.status, known.body])
  // That was the third mail to Eve, and the last one.
  assert.equal((await post('/api/register', 'eve@example.com')).status, 202)
  let text
  for (let attempt = 0; attempt < 100; attempt++) {
    text = (await sendRaw(origin, 'GET', '/mailbox')).body
    if (text.match(/to eve@example.com,/g).length >= 3) break
    await setTimeout(100)
  }
  assert.equal(text.match(/to eve@example.com,/g).length, 3)
  assert.match(text, /You have an account already/)
  assert.doesNotMatch(text, /nobody@example.com/)

  let last
  for (let sent = 0; sent < 10; sent++) {
    last = await post('/api/register', `user${sent}@example.com`)
    if (last.status === 429) break
  }
  assert.equal(last.status, 429)
  assert.ok(Number(last.headers['retry-after']) > 0)
  assert.equal(JSON.parse(last.body).error, 'too_many_requests')
}

/** Sends a request with exactly this path and these headers, which `fetch` would change. */
async function sendRaw(origin, method, path, { headers = {}, body } = {}) {
  const { hostname, port, host } = new URL(origin)
  const sent = request({ hostname, port, method, path, headers: { host, ...headers }, agent: false })
  sent.end(body)
  const [response] = await once(sent, 'response')
  response.setEncoding('utf8')
  let text = ''
  for await (const chunk of response) text += chunk
  return { status: response.statusCode, headers: response.headers, body: text }
}
