// Runs the code of docs/migrate.md, and checks its tables about refused tokens and errors.
import assert from 'node:assert/strict'
import { createPublicKey } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { JwtVerifier } from 'aws-jwt-verify'
import { createVerifier } from 'countersign'
import { createVerifier as createFastVerifier } from 'fast-jwt'
import { createRemoteJWKSet, jwtVerify } from 'jose'
import jwt from 'jsonwebtoken'
import jwksClient from 'jwks-rsa'
import { claims, makeKey, makeToken } from './package-tokens.js'
import { codeBlocks, read, ROOT, table } from './support/documents.js'
import { oddTokens } from './support/odd-tokens.js'
import { recordServers, startProgram, stopServers } from './support/servers.js'

// Express does not log the errors of tests.
process.env.NODE_ENV = 'test'
recordServers()
after(stopServers)

const folder = await mkdtemp(join(tmpdir(), 'countersign-migrate-'))
after(() => rm(folder, { recursive: true }))
await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'), 'junction')
await writeFile(join(folder, 'package.json'), '{"type":"module"}')

const page = read('docs/migrate.md')

const key = makeKey('k1')
const small = makeKey('small', 1024)
const jwks = { keys: [key.jwk, small.jwk] }

// An issuer that serves only its metadata and its keys.
const server = createServer((request, response) => {
  response.setHeader('content-type', 'application/json')
  response.end(JSON.stringify(request.url.endsWith('/jwks.json') ? jwks : { issuer, jwks_uri: jwksUri }))
}).listen(0, '127.0.0.1')
await once(server, 'listening')
const issuer = `http://127.0.0.1:${server.address().port}`
const jwksUri = `${issuer}/.well-known/jwks.json`

const now = Math.floor(Date.now() / 1000)
const payload = (changes) => claims({ iss: issuer, iat: now, exp: now + 900, scope: 'read', ...changes })
const token = (changes, header) => makeToken(key, payload(changes), header)

/** The engines of express-oauth2-jwt-bearer end at Node.js 24, so it is not installed on later versions. */
const skip = parseInt(process.versions.node) > 24 && 'express-oauth2-jwt-bearer is not for this version of Node.js'

/** Returns the code before and after in a section, with the issuer of this test. */
function codeOf(title) {
  const blocks = codeBlocks(page).filter(({ section }) => section === title).map(({ text }) => text.replaceAll('https://auth.example', issuer))
  assert.equal(blocks.length, 2, title)
  return { before: blocks[0], after: blocks[1] }
}

async function write(name, code) {
  const path = join(folder, `${name.replaceAll(/\W+/g, '-')}.js`)
  await writeFile(path, code)
  return pathToFileURL(path).href
}

for (const title of ['jose', 'jsonwebtoken and jwks-rsa', 'fast-jwt']) {
  for (const [time, code] of Object.entries(codeOf(title))) {
    test(`${title}, ${time}: a good token is accepted, and bad ones are refused`, async () => {
      const { authenticate } = await import(await write(`${title} ${time}`, code))
      assert.equal((await authenticate(token())).sub, 'somebody')
      for (const bad of [{ exp: now - 60 }, { aud: 'other' }, { iss: 'https://other.example' }]) {
        await assert.rejects(authenticate(token(bad)), JSON.stringify(bad))
      }
    })
  }
}

for (const [time, code] of Object.entries(codeOf('hono'))) {
  test(`hono, ${time}: the app answers by the token`, async () => {
    const { default: app } = await import(await write(`hono ${time}`, code))
    const answer = (token) => app.request('/me', { headers: { authorization: `Bearer ${token}` } })
    assert.deepEqual(await (await answer(token())).json(), { you: 'somebody' })
    for (const bad of [{ exp: now - 60 }, { aud: 'other' }, { iss: 'https://other.example' }]) {
      assert.equal((await answer(token(bad))).status, 401, JSON.stringify(bad))
    }
  })
}

test('without requiredClaims, fast-jwt accepts a token without aud', () => {
  const verify = createFastVerifier({ key: createPublicKey(key.privateKey).export({ format: 'pem', type: 'spki' }), allowedAud: 'api' })
  verify(token({ aud: undefined }))
})

for (const [time, code] of Object.entries(codeOf('express-oauth2-jwt-bearer'))) {
  test(`express-oauth2-jwt-bearer, ${time}: the program answers by token and scope`, { skip: time === 'before' && skip }, async () => {
    const url = await startProgram(await write(`express ${time}`, code))
    const answer = async (headers) => fetch(`${url}/me`, { headers })
    const bearer = (changes) => ({ authorization: `Bearer ${token(changes)}` })
    assert.deepEqual(await (await answer(bearer())).json(), { you: 'somebody' })
    const refused = [await answer({}), await answer(bearer({ exp: now - 60 })), await answer(bearer({ scope: 'write' }))]
    assert.deepEqual(refused.map(({ status }) => status), [401, 401, 403])
  })
}

test('aws-jwt-verify, before and after: the same tokens are accepted', async (t) => {
  const { before, after } = codeOf('aws-jwt-verify')
  const [theirs, ours] = [await import(await write('aws before', before)), await import(await write('aws after', after))]
  const pool = 'https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Example01'
  theirs.verifier.cacheJwks(jwks)
  t.mock.method(globalThis, 'fetch', async (url) => {
    return Response.json(String(url) === `${pool}/jwks` ? jwks : { issuer: pool, jwks_uri: `${pool}/jwks` })
  })
  const access = { iss: pool, aud: undefined, client_id: 'client-web', token_use: 'access', scope: 'openid orders/read' }
  const bad = [{ client_id: 'client-other' }, { token_use: 'id' }, { scope: 'openid' }, { exp: now - 60 }, { iss: `${pool}2` }]
  for (const { authenticate } of [theirs, ours]) {
    const of = (changes) => token({ ...access, ...changes }, { typ: undefined })
    assert.equal((await authenticate(of())).sub, 'somebody')
    for (const changes of bad) await assert.rejects(authenticate(of(changes)), JSON.stringify(changes))
  }
})

const getSigningKey = jwksClient({ jwksUri }).getSigningKey
const getKey = (header, done) => getSigningKey(header.kid).then((found) => done(null, found.getPublicKey()), done)
const remote = createRemoteJWKSet(new URL(jwksUri))
const aws = JwtVerifier.create({ issuer, audience: 'api', jwksUri: 'https://unused.example/jwks' })
aws.cacheJwks(jwks)
const verifier = await createVerifier({ issuer, audience: 'api', jwks: jwksUri })
const guarded = skip || (await startProgram(await write('express table', codeOf('express-oauth2-jwt-bearer').before)))

/** Each verifies a token with its defaults, besides the options for the issuer, the audience and RS256. */
const libraries = {
  jose: (token) => jwtVerify(token, remote, { issuer, audience: 'api', algorithms: ['RS256'] }),
  jsonwebtoken: (token) => new Promise((resolve, reject) => {
    const options = { issuer, audience: 'api', algorithms: ['RS256'] }
    jwt.verify(token, getKey, options, (error, payload) => (error ? reject(error) : resolve(payload)))
  }),
  'express-oauth2-jwt-bearer': async (token) => {
    const { status } = await fetch(`${guarded}/me`, { headers: { authorization: `Bearer ${token}` } })
    if (status !== 200) throw new Error(`status ${status}`)
  },
  'aws-jwt-verify': async (token) => aws.verifySync(token),
  here: (token) => verifier.verify(token),
}

const json = JSON.stringify(payload()).slice(0, -1)
const tokens = oddTokens({ key, small, payload })

test('the table of refused tokens says what each library does', async () => {
  const [[, ...names], ...rows] = table(page, 'Refused here')
  assert.deepEqual(rows.map(([label]) => label), Object.keys(tokens))
  for (const [label, ...cells] of rows) {
    for (const [index, name] of names.entries()) {
      if (skip && name === 'express-oauth2-jwt-bearer') continue
      const refusal = await libraries[name](tokens[label]).then(() => undefined, (error) => error)
      const verdict = refusal === undefined ? 'accepted' : name === 'here' ? `\`${refusal.code}\`` : 'refused'
      assert.equal(verdict, cells[index], `${name}: ${label}`)
    }
  }
})

const faults = {
  expired: token({ exp: now - 60 }),
  '`nbf` in the future': token({ nbf: now + 600 }),
  'another issuer': token({ iss: 'https://other.example' }),
  'another audience': token({ aud: 'other' }),
  'no audience': token({ aud: undefined }),
  'a changed payload': token().replace(/\.[^.]+\./, `.${Buffer.from(`${json}}`.replace('somebody', 'admin')).toString('base64url')}.`),
  'a key that is not in the set': makeToken({ ...key, kid: 'k2' }, payload()),
  HS256: token({}, { alg: 'HS256' }),
  'not a token': 'abc',
}

test('the table of errors has the names that each library gives', async () => {
  const [, ...rows] = table(page, 'Errors')
  assert.deepEqual(rows.map(([label]) => label), Object.keys(faults))
  const naming = {
    jose: ({ code }) => code,
    jsonwebtoken: ({ name }) => name,
    'aws-jwt-verify': ({ constructor }) => constructor.name,
    here: ({ code }) => code,
  }
  for (const [label, ...cells] of rows) {
    for (const [index, [name, nameOf]] of Object.entries(naming).entries()) {
      const found = await libraries[name](faults[label]).then(() => 'accepted', nameOf)
      assert.equal(`\`${found}\``, cells[index], `${name}: ${label}`)
    }
  }
})

test('without options, jose and jsonwebtoken check neither issuer nor audience', async () => {
  const foreign = token({ iss: 'https://other.example', aud: 'other' })
  await jwtVerify(foreign, remote)
  await new Promise((resolve, reject) => {
    jwt.verify(foreign, getKey, (error) => (error ? reject(error) : resolve()))
  })
  for (const missing of ['issuer', 'audience']) {
    const options = { issuer, audience: 'api', jwks: jwksUri, [missing]: undefined }
    await assert.rejects(createVerifier(options), { code: 'options_invalid', reason: missing })
  }
})
