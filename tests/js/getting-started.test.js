// Follows docs/verify.md and docs/run-an-issuer.md, command by command.
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { claims, makeKey, makeToken } from './package-tokens.js'
import { issuerBinary } from './support/issuer.js'
import { follow } from './support/walkthrough.js'

const key = makeKey('k1')
const now = Math.floor(Date.now() / 1000)
const token = (changes) => makeToken(key, claims({ iat: now, exp: now + 900, scope: 'read', ...changes }))

/** A script that answers the requests for the issuer of the page, in each program that imports it. */
const NETWORK = `
const documents = {
  'https://auth.example/.well-known/oauth-authorization-server': { issuer: 'https://auth.example', jwks_uri: 'https://auth.example/.well-known/jwks.json' },
  'https://auth.example/.well-known/jwks.json': ${JSON.stringify({ keys: [key.jwk] })},
}
const { fetch } = globalThis
globalThis.fetch = async (url, init) => (String(url) in documents ? Response.json(documents[String(url)]) : fetch(url, init))
`

test('docs/verify.md leads to services that accept only good tokens', async (t) => {
  const files = { token: `${token()}\n`, 'network.js': NETWORK }
  const folder = await follow(t, 'docs/verify.md', { files, env: { NODE_OPTIONS: '--import ./network.js' } })

  const { fetch } = globalThis
  t.after(() => { globalThis.fetch = fetch })
  const load = (name) => import(pathToFileURL(join(folder, name)).href)
  await load('network.js')
  const [{ default: worker }, { GET }, { default: app }, { nameOf }] = await Promise.all(['worker.js', 'route.js', 'hono.js', 'page.js'].map(load))
  for (const send of [worker.fetch, GET, (request) => app.request(request)]) {
    const request = (token) => new Request('https://api.example/me', { headers: { authorization: `Bearer ${token}` } })
    const answer = await send(request(token()))
    assert.deepEqual([answer.status, await answer.json()], [200, { you: 'somebody' }])
    assert.equal((await send(request(token({ exp: now - 1 })))).status, 401)
    assert.equal((await send(request(token({ scope: 'other' })))).status, 403)
  }
  assert.equal(await nameOf(token()), 'somebody')
})

test('docs/run-an-issuer.md leads to a verified token, a refresh and a logout', async (t) => {
  await follow(t, 'docs/run-an-issuer.md', { env: { ISSUER: issuerBinary() } })
})
