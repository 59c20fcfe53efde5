import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { createVerifier, VerifyError } from 'countersign'
import { guard } from 'countersign/guard'
import * as inline from 'countersign/inline'
import { STAGE_OF } from '../../pkg/dist/errors.js'
import { claims, makeKey, makeToken, NOW, options } from './package-tokens.js'

const key = makeKey('k1')
const token = makeToken(key, claims({ scope: 'read write' }))
const verifier = await createVerifier(options([key]))
const good = { authorization: `Bearer ${token}` }

function request(headers = {}, { path = '/', ...init } = {}) {
  return new Request(`https://api.example${path}`, { headers, ...init })
}

function form(text, headers = good) {
  return request({ 'content-type': 'application/x-www-form-urlencoded', ...headers }, { method: 'POST', body: text })
}

/** Returns a verifier that refuses with this code. */
function refusing(code) {
  const fields = { code, stage: STAGE_OF[code], message: `no: ${code}`, retryable: false, wwwAuthenticate: `Bearer x="${code}"` }
  return { verify: () => Promise.reject(new VerifyError(fields)) }
}

/** Returns the parts of a refusal that the tests compare. Checks that it does not contain the token. */
async function refused(...args) {
  const { claims, response, error } = await guard(...args)
  assert.equal(claims, undefined)
  const text = await response.text()
  const headers = Object.fromEntries(response.headers)
  for (const part of token.split('.')) assert.ok(!`${text}${JSON.stringify(headers)}`.includes(part))
  assert.equal(headers['cache-control'], 'no-store')
  assert.equal(headers['content-type'], 'application/json')
  const body = JSON.parse(text)
  assert.deepEqual(Object.keys(body), ['error', 'error_description'])
  return { status: response.status, challenge: headers['www-authenticate'], retryAfter: headers['retry-after'], ...body, code: error?.code }
}

test('a valid token returns only its claims', async () => {
  assert.deepEqual(await guard(request(good), verifier), { claims: claims({ scope: 'read write' }) })
})

test('the scheme may be written in any case, with more than one space', async () => {
  for (const scheme of ['bearer', 'BEARER', 'Bearer  ']) {
    assert.ok((await guard(request({ authorization: `${scheme} ${token}` }), verifier)).claims)
  }
})

test('the verifier may be a promise, or come from countersign/inline', async () => {
  assert.ok((await guard(request(good), createVerifier(options([key])))).claims)
  assert.ok((await guard(request(good), inline.createVerifierSync(options([key])))).claims)
})

const without = {
  'no Authorization header': {},
  'an empty one': { authorization: '' },
  'another scheme': { authorization: 'Basic dTpw' },
  'another scheme with commas': { authorization: 'Digest username="u", realm="bearers", nonce="n"' },
  'a scheme that begins like Bearer': { authorization: `BearerToken ${token}` },
}
for (const [name, headers] of Object.entries(without)) {
  test(`${name} gets a challenge that names no error`, async () => {
    const { status, challenge, error } = await refused(request(headers), verifier)
    assert.deepEqual({ status, challenge, error }, { status: 401, challenge: 'Bearer', error: 'unauthorized' })
  })
}

test('a token only in the query is no credential', async () => {
  const { status, challenge } = await refused(request({}, { path: `/?access_token=${token}` }), verifier)
  assert.deepEqual({ status, challenge }, { status: 401, challenge: 'Bearer' })
})

const twice = new Headers()
twice.append('authorization', `Bearer ${token}`)
twice.append('authorization', `Bearer ${token}`)
const malformed = {
  'the scheme alone': request({ authorization: 'Bearer' }),
  'a space in the token': request({ authorization: 'Bearer a b' }),
  'a quoted token': request({ authorization: `Bearer "${token}"` }),
  'padding within the token': request({ authorization: 'Bearer a=b' }),
  'the scheme twice': request({ authorization: `Bearer Bearer ${token}` }),
  'two Authorization headers': request(twice),
  'two schemes': request({ authorization: `Basic dTpw, Bearer ${token}` }),
  'two schemes, the other way around': request({ authorization: `Bearer ${token}, Basic dTpw` }),
  'another token in the query': request(good, { path: '/a?b=c&access_token=d' }),
  'another token in the query, percent-encoded': request(good, { path: '/?access%5ftoken=' }),
  'another token in a form': form('a=b&access_token=c'),
  'another token in a form of another spelling': form('access_token=c', { ...good, 'content-type': 'Application/X-WWW-Form-Urlencoded ; charset=utf-8' }),
}
for (const [name, it] of Object.entries(malformed)) {
  test(`${name} is a bad request`, async () => {
    const { status, challenge, error, error_description } = await refused(it, verifier)
    assert.deepEqual({ status, error }, { status: 400, error: 'invalid_request' })
    assert.equal(challenge, `Bearer error="invalid_request", error_description="${error_description.replaceAll('"', "'")}"`)
  })
}

test('a parameter that only resembles a token is ignored', async () => {
  for (const it of [
    request(good, { path: '/?my_access_token=a&b=access_token' }),
    request(good, { path: '/access_token=a' }),
    form('a=access_token'),
    request({ ...good, 'content-type': 'text/plain' }, { method: 'POST', body: 'access_token=a' }),
  ]) {
    assert.ok((await guard(it, verifier)).claims)
  }
})

test('the service can still read a form behind the guard, and a form that was read before is ignored', async () => {
  const it = form('a=b')
  assert.ok((await guard(it, verifier)).claims)
  assert.equal(await it.text(), 'a=b')
  assert.ok((await guard(it, verifier)).claims)
  const begun = form('a=b')
  const reader = begun.body.getReader()
  assert.ok((await guard(begun, verifier)).claims)
  await reader.read()
  reader.releaseLock()
  assert.ok((await guard(begun, verifier)).claims)
})

test('the guard reads only the beginning of a form, and only after the token was verified', async () => {
  let pulled = 0
  const endless = () => new ReadableStream({
    pull(controller) {
      pulled++
      controller.enqueue(new TextEncoder().encode('a'.repeat(16384)))
    },
  })
  const send = (authorization) => new Request('https://api.example', {
    method: 'POST', body: endless(), duplex: 'half', headers: { authorization, 'content-type': 'application/x-www-form-urlencoded' },
  })
  assert.equal((await refused(send(`Bearer ${token}x`), verifier)).status, 401)
  assert.ok(pulled <= 1, `${pulled} chunks were asked for`)
  assert.ok((await guard(send(`Bearer ${token}`), verifier)).claims)
  assert.ok(pulled >= 4 && pulled < 10, `${pulled} chunks were asked for`)
})

test('a refused token is answered with the fault, without the expected values', async () => {
  const expired = makeToken(key, claims({ exp: NOW - 35 }))
  const { wwwAuthenticate } = await verifier.verify(expired).catch((error) => error)
  assert.deepEqual(await refused(request({ authorization: `Bearer ${expired}` }), verifier), {
    status: 401, challenge: wwwAuthenticate, retryAfter: undefined,
    error: 'invalid_token', error_description: 'the token expired 35 s ago', code: 'token_expired',
  })
  const tenants = await createVerifier(options([key], { claims: { tid: ['tenant-1', 'tenant-2'] } }))
  const { error_description: description } = await refused(request({ authorization: `Bearer ${makeToken(key, claims({ tid: 'x' }))}` }), tenants)
  assert.equal(description, 'the claim tid has another value than expected')
})

test('the token must have each scope of the guard', async () => {
  for (const scope of ['read', 'write read', ['read', 'write'], ['read write']]) {
    assert.ok((await guard(request(good), verifier, { scope })).claims)
  }
  for (const scope of ['admin', 'read admin', ['write', 'admin'], 'rea', 'Read']) {
    const { status, challenge, error, code } = await refused(request(good), verifier, { scope })
    assert.deepEqual({ status, error, code }, { status: 403, error: 'insufficient_scope', code: 'scope_insufficient' })
    assert.ok(challenge.endsWith(`, scope="${[scope].flat().join(' ')}"`), challenge)
  }
  const unscoped = request({ authorization: `Bearer ${makeToken(key)}` })
  assert.equal((await refused(unscoped, verifier, { scope: 'read' })).status, 403)
})

test('the guard and the verifier report a missing scope in the same way', async () => {
  const strict = await createVerifier(options([key], { scope: 'read admin' }))
  const ours = await guard(request(good), verifier, { scope: 'read admin' })
  const theirs = await guard(request(good), strict)
  assert.deepEqual([...ours.response.headers], [...theirs.response.headers])
  assert.equal(await ours.response.text(), await theirs.response.text())
  assert.deepEqual({ ...ours.error }, { ...theirs.error })
})

test('options that would accept more than intended are refused', async () => {
  for (const wrong of [{ scopes: 'read' }, { scope: '' }, { scope: [] }, { scope: [''] }, { scope: 'a  b' }, { scope: ['a', 1] }, { scope: null }, 'read', null]) {
    await assert.rejects(guard(request(good), verifier, wrong), { name: 'VerifyError', code: 'options_invalid' })
  }
  await assert.rejects(guard(request(good), verifier, { scopes: 'read' }), { message: /did you mean scope\?/ })
  for (const none of [undefined, {}, createVerifier]) {
    await assert.rejects(guard(request(good), none), { code: 'options_invalid', message: /createVerifier/ })
  }
})

const thrown = ['options_invalid', 'jwks_invalid']
test('the guard looks for scopes in the verifier\'s scopeClaim, in a string or an array', async () => {
  const cases = [
    [undefined, { scope: ['read', 'write'] }, 200],
    [undefined, { scope: 7 }, 403],
    ['scp', { scp: 'write read', scope: 'write' }, 200],
    ['scp', { scope: 'read' }, 403],
    ['permissions', { permissions: ['read'] }, 200],
    ['permissions', { permissions: [['read']] }, 403],
  ]
  for (const [scopeClaim, claimed, status] of cases) {
    const one = await createVerifier(options([key], { scopeClaim }))
    const { response } = await guard(request({ authorization: `Bearer ${makeToken(key, claims(claimed))}` }), one, { scope: 'read' })
    assert.equal(response?.status ?? 200, status)
  }
})

test('the challenge for a missing scope has at most 200 characters, as the verifier\'s', async () => {
  const scope = Array.from({ length: 40 }, (_, index) => `scope-${index}`)
  for (const [scopeClaim, scopes] of [['scope', scope], ['https://a.example/"\\\u{1f98a}', 'read'], ['x'.repeat(300), 'read']]) {
    const token = makeToken(key, claims({ scope: 'other', [scopeClaim]: 'other' }))
    const strict = await createVerifier(options([key], { scope: scopes, scopeClaim }))
    const lax = await createVerifier(options([key], { scopeClaim }))
    const send = request({ authorization: `Bearer ${token}` })
    const [ours, theirs] = [await guard(send, lax, { scope: scopes }), await guard(send, strict)]
    assert.equal(ours.error.wwwAuthenticate, theirs.error.wwwAuthenticate)
    assert.equal(ours.error.message, theirs.error.message)
    assert.equal(ours.error.claim, scopeClaim)
    assert.ok(ours.error.wwwAuthenticate.length <= 200)
  }
})

const statuses = { jwks_unavailable: 503, status_unavailable: 503, scope_insufficient: 403 }
for (const code of Object.keys(STAGE_OF)) {
  const status = statuses[code] ?? 401
  test(`${code} is ${thrown.includes(code) ? 'thrown' : `answered with ${status}`}`, async () => {
    if (thrown.includes(code)) return assert.rejects(guard(request(good), refusing(code)), { code })
    const answer = await refused(request(good), refusing(code))
    assert.equal(answer.status, status)
    assert.equal(answer.code, code)
    assert.equal(answer.challenge, status === 503 ? undefined : `Bearer x="${code}"`)
    assert.equal(answer.retryAfter, status === 503 ? '10' : undefined)
  })
}

test('a response does not contain the URL of the keys', async () => {
  const remote = await createVerifier(options([], {
    jwks: 'https://internal.example/keys', fetch: () => Promise.reject(new Error('down')),
  }))
  const { response, error } = await guard(request(good), remote)
  assert.doesNotMatch(await response.text(), /internal|keys/)
  assert.equal(error.code, 'jwks_unavailable')
})

test('an error that is no VerifyError is thrown', async () => {
  const bug = new TypeError('a bug')
  await assert.rejects(guard(request(good), { verify: () => Promise.reject(bug) }), bug)
})

test('a VerifyError of another copy of the package is recognised', async () => {
  class VerifyError extends Error {
    name = 'VerifyError'
    code = 'token_expired'
    wwwAuthenticate = 'Bearer y'
  }
  const it = await refused(request(good), { verify: () => Promise.reject(new VerifyError('other')) })
  assert.deepEqual([it.status, it.challenge], [401, 'Bearer y'])
})

test('a HEAD is answered like a GET, without a body', async () => {
  const [head, get] = await Promise.all(['HEAD', 'GET'].map((method) => guard(request({}, { method }), verifier)))
  assert.equal(head.response.body, null)
  assert.notEqual(get.response.body, null)
  assert.deepEqual([head.response.status, ...head.response.headers], [get.response.status, ...get.response.headers])
})

test('a CORS preflight is refused', async () => {
  const headers = { origin: 'https://app.example', 'access-control-request-method': 'GET', 'access-control-request-headers': 'authorization' }
  assert.equal((await refused(request(headers, { method: 'OPTIONS' }), verifier)).status, 401)
})

for (const entry of ['guard', 'express']) {
  test(`countersign/${entry} does not import the WebAssembly module`, async () => {
    const seen = new Set()
    const visit = async (url) => {
      if (seen.has(url.href)) return
      seen.add(url.href)
      const text = await readFile(url, 'utf8')
      for (const [, , path] of text.matchAll(/(?:from|import)\s*\(?(['"])(.+?)\1/g)) await visit(new URL(path, url))
    }
    await visit(new URL(import.meta.resolve(`countersign/${entry}`)))
    const names = [...seen].map((url) => url.split('/').pop())
    assert.ok(names.includes('bearer.js'))
    for (const name of names) assert.doesNotMatch(name, /wasm|core|node|browser|inline/)
  })
}
