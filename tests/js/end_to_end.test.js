// Tokens of the real issuer, verified by `countersign` and by `jose`.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { createVerifier, VerifyError } from 'countersign'
import { statusList } from 'countersign/status'
import { createRemoteJWKSet, jwtVerify } from 'jose'
import { AUDIENCE } from './support/demo.js'
import { logIn, startIssuer, USER } from './support/issuer.js'
import { changes } from './support/tampering.js'

const REFUSALS = ['token_malformed', 'header_invalid', 'algorithm_not_allowed', 'type_mismatch', 'key_not_found', 'signature_invalid']

let issuer
let verifier
let joseKeys

before(async () => {
  issuer = await startIssuer()
  const jwks = `${issuer.url}/.well-known/jwks.json`
  verifier = await createVerifier({ issuer: issuer.url, audience: AUDIENCE, jwks })
  joseKeys = createRemoteJWKSet(new URL(jwks))
})
after(() => issuer?.stop())

test('a token of the running issuer is accepted by both, with the same claims', async () => {
  const { access_token: token, expires_in } = await logIn(issuer.url)
  const { header, payload } = await verifier.verify(token)
  const second = await verifyWithJose(token)
  assert.deepEqual({ header, payload }, { header: second.protectedHeader, payload: second.payload })
  assert.deepEqual(verifier.verifySync(token), { header, payload })
  assert.equal(payload.exp - payload.iat, expires_in)
  assert.equal(payload.iss, issuer.url)
  assert.ok(verifier.keys().keys.some(({ kid }) => kid === header.kid))
})

test('a token with one character changed anywhere is refused by both', async () => {
  const { access_token: token } = await logIn(issuer.url)
  await verifier.verify(token)
  const seen = new Set()
  for (const { changed, at, sameOctets } of changes(token)) {
    const error = refusalOf(() => verifier.verifySync(changed))
    assert.ok(error instanceof VerifyError && REFUSALS.includes(error.code), `character ${at}: ${error}`)
    seen.add(error.code)
    // jose ignores unused bits in the last character of a part (RFC 4648 §3.5 allows that).
    if (!sameOctets) await assert.rejects(verifyWithJose(changed), `character ${at} was accepted by jose`)
  }
  assert.deepEqual([...seen].sort(), [...REFUSALS].sort())
})

test('a token of another issuer is refused by both', async () => {
  const other = await startIssuer()
  try {
    const { access_token: token } = await logIn(other.url)
    await assert.rejects(verifier.verify(token), { code: 'key_not_found' })
    await assert.rejects(verifyWithJose(token), { code: 'ERR_JWKS_NO_MATCHING_KEY' })
  } finally {
    await other.stop()
  }
})

test('a token for another audience is refused by both', async () => {
  const { access_token: token } = await logIn(issuer.url)
  const other = await createVerifier({ issuer: issuer.url, audience: 'other', jwks: verifier.keys() })
  assert.equal(refusalOf(() => other.verifySync(token)).code, 'audience_mismatch')
  await assert.rejects(verifyWithJose(token, { audience: 'other' }), { code: 'ERR_JWT_CLAIM_VALIDATION_FAILED', claim: 'aud' })
})

test('a token is refused by both from its exp on', async () => {
  const { access_token: token } = await logIn(issuer.url)
  const { payload } = await verifier.verify(token)
  const at = (now) => createVerifier({ issuer: issuer.url, audience: AUDIENCE, jwks: verifier.keys(), now: () => now })
  const [late, tooLate] = await Promise.all([at(payload.exp - 1), at(payload.exp)])
  late.verifySync(token)
  assert.equal(refusalOf(() => tooLate.verifySync(token)).code, 'token_expired')
  await verifyWithJose(token, { currentDate: new Date((payload.exp - 1) * 1000) })
  await assert.rejects(verifyWithJose(token, { currentDate: new Date(payload.exp * 1000) }), { code: 'ERR_JWT_EXPIRED' })
})

test('a refresh token is no access token', async () => {
  const { refresh_token: token } = await logIn(issuer.url)
  await assert.rejects(verifier.verify(token), { code: 'token_malformed' })
  await assert.rejects(verifyWithJose(token))
})

test('a session works from login to refresh to logout', async () => {
  const first = await logIn(issuer.url)
  const second = await refresh(first.refresh_token)
  assert.equal(second.status, 200)
  const { access_token, refresh_token } = await second.json()
  const [before, after] = await Promise.all([verifier.verify(first.access_token), verifier.verify(access_token)])
  assert.notEqual(before.payload.jti, after.payload.jti)
  assert.equal(before.payload.sid, after.payload.sid)
  assert.equal(before.payload.sub, after.payload.sub)

  const answer = await fetch(`${issuer.url}/logout`, { method: 'POST', body: new URLSearchParams({ refresh_token }) })
  assert.equal(answer.status, 204)
  const refused = await refresh(refresh_token)
  assert.equal(refused.status, 400)
  assert.equal((await refused.json()).error, 'invalid_grant')
})

test('a claim of one\'s own can be required, and is in the tokens as long as the user has it', async (t) => {
  const claiming = await startIssuer()
  t.after(claiming.stop)
  const editors = await createVerifier({ issuer: claiming.url, audience: AUDIENCE, claims: { roles: ['admin', 'editor'], tenant: 7 } })
  let session = await logIn(claiming.url)
  const refreshed = async (claims) => {
    await claiming.run(['user', 'claims', USER.username, JSON.stringify(claims)])
    session = await (await refresh(session.refresh_token, {}, claiming.url)).json()
    return session.access_token
  }
  await assert.rejects(editors.verify(session.access_token), { code: 'claim_missing', claim: 'roles' })
  const { payload } = await editors.verify(await refreshed({ roles: ['author', 'editor'], tenant: 7, name: 'Zoë', address: { lines: [] } }))
  assert.deepEqual([payload.roles, payload.name, payload.address], [['author', 'editor'], 'Zoë', { lines: [] }])
  await assert.rejects(editors.verify(await refreshed({ roles: ['author'], tenant: 7 })), { code: 'claim_mismatch', claim: 'roles' })
  await assert.rejects(editors.verify(await refreshed({})), { code: 'claim_missing' })
  await (await createVerifier({ issuer: claiming.url, audience: AUDIENCE })).verify(session.access_token)
})

test('a token is accepted by the audiences that the client chose, and by no others', async (t) => {
  const [orders, mail] = ['https://orders.example', 'https://mail.example']
  const choosing = await startIssuer({ flags: ['--audiences', `${orders},${mail}`] })
  t.after(choosing.stop)
  const audiences = [AUDIENCE, orders, mail]
  const verifiers = await Promise.all(audiences.map((audience) => createVerifier({ issuer: choosing.url, audience })))
  const acceptedBy = async (token) => {
    const verdicts = await Promise.allSettled(verifiers.map((verifier) => verifier.verify(token)))
    for (const { reason } of verdicts) assert.ok(!reason || reason.code === 'audience_mismatch', `${reason}`)
    return audiences.filter((_, index) => verdicts[index].status === 'fulfilled')
  }
  const { access_token, refresh_token } = await logIn(choosing.url)
  assert.deepEqual(await acceptedBy(access_token), [AUDIENCE])
  const one = await (await refresh(refresh_token, { resource: [mail] }, choosing.url)).json()
  assert.deepEqual(await acceptedBy(one.access_token), [mail])
  const both = await (await refresh(one.refresh_token, { resource: [mail, orders] }, choosing.url)).json()
  assert.deepEqual(await acceptedBy(both.access_token), [orders, mail])

  const { client_id, client_secret } = JSON.parse(
    await choosing.run(['client', 'add', 'console', '--scope', 'read countersign:admin', '--json']),
  )
  const body = new URLSearchParams({ grant_type: 'client_credentials', client_id, client_secret, resource: choosing.url })
  const admin = await (await fetch(`${choosing.url}/token`, { method: 'POST', body })).json()
  assert.equal(admin.scope, 'countersign:admin')
  assert.deepEqual(await acceptedBy(admin.access_token), [])
})

test('a key that the issuer revoked stops verifying with the next fetch, also for cached tokens', async (t) => {
  const revoking = await startIssuer()
  t.after(revoking.stop)
  const jwks = `${revoking.url}/.well-known/jwks.json`
  const verifier = await createVerifier({ issuer: revoking.url, audience: AUDIENCE, jwks, cache: 10 })
  const { access_token: token } = await logIn(revoking.url)
  const { header: { kid } } = await verifier.verify(token)
  await revoking.run(['keys', 'revoke', kid])
  // The issuer reads its keys once a second.
  const isPublished = async () => (await (await fetch(jwks)).json()).keys.some((key) => key.kid === kid)
  while (await isPublished()) await sleep(100)

  assert.equal(verifier.verifySync(token).header.kid, kid)
  await verifier.refresh()
  assert.throws(() => verifier.verifySync(token), { code: 'key_not_found' })
  const { access_token: next } = await logIn(revoking.url)
  assert.notEqual((await verifier.verify(next)).header.kid, kid)
})

test('after a logout, the access token is refused once its status list is renewed, also from the cache', async (t) => {
  const listing = await startIssuer({ flags: ['--status-lists'] })
  t.after(listing.stop)
  let passed = 0
  const now = () => Date.now() / 1000 + passed
  const options = { issuer: listing.url, audience: AUDIENCE, cache: 10, now, status: statusList({ required: true }) }
  const verifier = await createVerifier(options)
  const [{ access_token: token, refresh_token }, { access_token: other }] = [await logIn(listing.url), await logIn(listing.url)]
  const { payload } = await verifier.verify(token)
  assert.equal(payload.status.status_list.uri, `${listing.url}/status/1`)
  await verifier.verify(other)

  const answer = await fetch(`${listing.url}/logout`, { method: 'POST', body: new URLSearchParams({ refresh_token }) })
  assert.equal(answer.status, 204)
  assert.equal(verifier.verifySync(token).payload.jti, payload.jti)
  // The issuer reads a list once a second, and its ttl is a minute.
  await sleep(1100)
  passed = 60
  await assert.rejects(verifier.verify(token), { code: 'token_revoked', claims: payload })
  assert.equal(refusalOf(() => verifier.verifySync(token)).code, 'token_revoked')
  await verifier.verify(other)
})

function refresh(refresh_token, { resource = [] } = {}, url = issuer.url) {
  const body = new URLSearchParams({ grant_type: 'refresh_token', refresh_token })
  for (const audience of resource) body.append('resource', audience)
  return fetch(`${url}/token`, { method: 'POST', body })
}

function verifyWithJose(token, options = {}) {
  return jwtVerify(token, joseKeys, {
    algorithms: ['RS256'], issuer: issuer.url, audience: AUDIENCE, typ: 'at+jwt', requiredClaims: ['exp'], ...options,
  })
}

function refusalOf(verify) {
  try {
    verify()
  } catch (error) {
    return error
  }
  throw new assert.AssertionError({ message: 'accepted' })
}
