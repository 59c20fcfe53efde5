// The issuer in the page Sessions, for sites without one.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createVerifier } from 'countersign'
import { createSmallIssuer } from '../../www/page/small-issuer.js'
import { fetchThrough, serve } from '../../www/page/small-issuer-port.js'

const ISSUER = 'https://issuer.example'
const user = { username: 'demo', password: 'demo' }

let time = 1_800_000_000
const small = await createSmallIssuer({ issuer: ISSUER, audience: 'api', user, accessTtl: 60, now: () => time })

const post = async (path, body) => {
  const response = await small.fetch(ISSUER + path, { body })
  return { status: response.status, ...(response.status === 204 ? {} : await response.json()) }
}
const logIn = () => post('/login', JSON.stringify({ ...user, session: 'token' }))
const refresh = (token) => post('/token', new URLSearchParams({ grant_type: 'refresh_token', refresh_token: token }))

test('its tokens are accepted by a verifier with its key', async () => {
  const tokens = await logIn()
  assert.deepEqual([tokens.status, tokens.token_type, tokens.expires_in, tokens.scope], [200, 'Bearer', 60, 'read write'])
  const verifier = await createVerifier({ issuer: ISSUER, audience: 'api', jwks: small.jwks, now: () => time })
  const { payload } = verifier.verifySync(tokens.access_token)
  assert.equal(payload.exp, time + 60)
})

test('a wrong password is refused', async () => {
  const { status, error } = await post('/login', JSON.stringify({ ...user, password: 'other' }))
  assert.deepEqual([status, error], [401, 'invalid_grant'])
})

test('a used refresh token gets the same answer within the grace, and ends the session later', async () => {
  const { refresh_token: first } = await logIn()
  const [one, two] = await Promise.all([refresh(first), refresh(first)])
  assert.deepEqual(one, two)
  time += 29
  assert.deepEqual(await refresh(first), one)
  const { refresh_token: third } = await refresh(one.refresh_token)
  assert.equal((await refresh(first)).error, 'invalid_grant')
  assert.equal((await refresh(third)).error, 'invalid_grant', 'the session is over')

  const { refresh_token: fresh } = await logIn()
  const next = await refresh(fresh)
  time += 30
  assert.equal((await refresh(fresh)).error, 'invalid_grant')
  assert.equal((await refresh(next.refresh_token)).error, 'invalid_grant')
})

test('a logout ends the session', async () => {
  const { refresh_token: token } = await logIn()
  assert.equal((await post('/logout', new URLSearchParams({ refresh_token: token }))).status, 204)
  assert.equal((await refresh(token)).error, 'invalid_grant')
})

test('what it does not understand is refused', async () => {
  assert.equal((await post('/login', 'no JSON')).status, 400)
  assert.equal((await post('/elsewhere', '')).status, 404)
  assert.equal((await post('/token', 'grant_type=password')).error, 'unsupported_grant_type')
  assert.equal((await refresh('')).error, 'invalid_grant')
})

test('requests reach it through a port, and can be given up', async (t) => {
  const { port1, port2 } = new MessageChannel()
  t.after(() => port1.close())
  serve(port1, Promise.resolve(small))
  const fetch = fetchThrough(port2)
  const response = await fetch(`${ISSUER}/login`, { body: JSON.stringify(user) })
  assert.equal((await response.json()).token_type, 'Bearer')
  assert.equal((await fetch(`${ISSUER}/logout`, { body: null })).status, 204)
  await assert.rejects(fetch(`${ISSUER}/login`, { body: '', signal: AbortSignal.abort() }), { name: 'AbortError' })
})
