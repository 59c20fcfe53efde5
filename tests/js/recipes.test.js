import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { createPublicKey } from 'node:crypto'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { transform } from 'esbuild'
import { JSDOM } from 'jsdom'
import { claims, makeKey, makeToken } from './package-tokens.js'
import { codeBlocks, read, ROOT } from './support/documents.js'
import { recordServers, startProgram, stopServers } from './support/servers.js'

const folder = await mkdtemp(join(tmpdir(), 'countersign-recipes-'))
after(() => rm(folder, { recursive: true }))
await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'), 'junction')

const key = makeKey('k1')
const now = Math.floor(Date.now() / 1000)
const token = (changes) => makeToken(key, claims({ iat: now, exp: now + 900, ...changes }))

// Answers the recipes' requests for the issuer's metadata and the key set.
const WELL_KNOWN = 'https://auth.example/.well-known'
const realFetch = globalThis.fetch
globalThis.fetch = async (input, init) => {
  if (String(input) === `${WELL_KNOWN}/oauth-authorization-server`) {
    return Response.json({ issuer: 'https://auth.example', jwks_uri: `${WELL_KNOWN}/jwks.json` })
  }
  if (String(input) !== `${WELL_KNOWN}/jwks.json`) return realFetch(input, init)
  return Response.json({ keys: [key.jwk] })
}

recordServers()
after(stopServers)

/** Writes the page's code blocks to files, named by their first line or by their section. */
async function blocks() {
  const found = []
  for (const { section: title, language, text } of codeBlocks(read('docs/recipes.md'))) {
    if (!['js', 'cjs', 'ts'].includes(language)) continue
    const name = /^\/\/ (\S+\.[jt]s)\n/.exec(text)?.[1].replace(/ts$/, 'js') ?? (language === 'cjs' ? 'recipe.cjs' : 'recipe.js')
    const code = language === 'ts' ? (await transform(text, { loader: 'ts' })).code : text
    const path = join(folder, title.replaceAll(/\W+/g, '-'), name)
    await mkdir(dirname(path), { recursive: true })
    await writeFile(join(folder, title.replaceAll(/\W+/g, '-'), 'package.json'), '{"type":"module"}')
    await writeFile(path, code)
    found.push({ title, name, path, code })
  }
  return found
}

const all = await blocks()

function recipe(title, name) {
  const found = all.find((block) => block.title === title && (name === undefined || block.name === name))
  assert.ok(found, `no recipe ${title} ${name ?? ''}`)
  return pathToFileURL(found.path).href
}

/** Checks that a recipe answers only a token with the scope `read`, with its subject. */
async function check(send) {
  const answer = async (headers) => {
    const response = await send(new Request('https://api.example/me', { headers }))
    return [response.status, await response.json()]
  }
  const bearer = (changes) => ({ authorization: `Bearer ${token(changes)}` })
  assert.deepEqual(await answer(bearer({ scope: 'read' })), [200, { you: 'somebody' }])
  const refused = [[await answer({}), 401, 'unauthorized'], [await answer(bearer({ exp: now - 1 })), 401, 'invalid_token'], [await answer(bearer({ scope: 'other' })), 403, 'insufficient_scope']]
  for (const [[status, { error }], ...expected] of refused) assert.deepEqual([status, error], expected)
}

/** Starts a recipe that listens on a port. Returns a function that sends it requests. */
async function listening(url) {
  const server = await startProgram(url)
  return (request) => realFetch(`${server}${new URL(request.url).pathname}`, { headers: request.headers })
}

for (const { title, name, path } of all) {
  test(`the code has no syntax errors: ${title}, ${name}`, () => promisify(execFile)(process.execPath, ['--check', path]))
}

test('the package exports every name that a recipe imports', async () => {
  let names = 0
  for (const { code } of all) {
    for (const [, list, , specifier] of code.matchAll(/\{ ([\w, ]+) \} (=|from) (?:require\()?'(countersign[^']*)'/g)) {
      const module = await import(specifier)
      for (const name of list.split(', ')) {
        names++
        assert.equal(typeof module[name], 'function', `${specifier} ${name}`)
      }
    }
  }
  assert.ok(names >= 2 * 8)
})

test('Hono', async () => {
  const { default: app } = await import(recipe('Hono'))
  await check((request) => app.request(request))
})

test('Express', async () => check(await listening(recipe('Express', 'recipe.js'))))

test('Express in CommonJS', async () => check(await listening(recipe('Express', 'recipe.cjs'))))

test('Fastify', async () => check(await listening(recipe('Fastify'))))

test('Next.js: the route handler, and the proxy', async () => {
  const { GET } = await import(recipe('Next.js', 'app/api/me/route.js'))
  await check(GET)
  const { proxy } = await import(recipe('Next.js', 'proxy.js'))
  const send = (headers) => proxy(new Request('https://api.example/api/me', { headers }))
  assert.equal(await send({ authorization: `Bearer ${token()}` }), undefined)
  assert.equal((await send({})).status, 401)
})

test('Cloudflare Workers', async () => {
  const { default: worker } = await import(recipe('Cloudflare Workers'))
  await check((request) => worker.fetch(request))
})

test('the first programs of the README work', async () => {
  const [verify, worker] = codeBlocks(read('pkg/README.md')).filter(({ language }) => language === 'js').map(({ text }) => text)
  await writeFile(join(folder, 'verify.mjs'), `const token = '${token()}'\n${verify}\nexport { payload }`)
  const { payload } = await import(pathToFileURL(join(folder, 'verify.mjs')).href)
  assert.equal(payload.sub, 'somebody')

  await writeFile(join(folder, 'worker.mjs'), worker)
  const { default: { fetch } } = await import(pathToFileURL(join(folder, 'worker.mjs')).href)
  const send = (headers) => fetch(new Request('https://api.example/', { headers }))
  assert.deepEqual(await (await send({ authorization: `Bearer ${token({ scope: 'read' })}` })).json(), { hello: 'somebody' })
  assert.equal((await send({})).status, 401)
})

test('Deno and Deno Deploy, with a test double of serve()', async (t) => {
  let handler
  globalThis.Deno = { serve: (given) => (handler = given) }
  t.after(() => delete globalThis.Deno)
  await import(recipe('Deno and Deno Deploy'))
  await check(handler)
})

test('Bun, with a test double of serve()', async (t) => {
  let server
  globalThis.Bun = { serve: (given) => (server = given) }
  t.after(() => delete globalThis.Bun)
  await import(recipe('Bun'))
  await check((request) => server.fetch(request))
})

test('SvelteKit: the hook, and an endpoint', async () => {
  const { handle } = await import(recipe('SvelteKit', 'src/hooks.server.js'))
  const { GET } = await import(recipe('SvelteKit', 'src/routes/api/me/+server.js'))
  const send = (path, { headers }) => {
    const request = new Request(`https://api.example${path}`, { headers })
    return handle({ event: { request, url: new URL(request.url), locals: {} }, resolve: path === '/' ? () => Response.json('a page') : GET })
  }
  await check((request) => send('/api/me', request))
  assert.equal((await send('/', {})).status, 200)
})

test('Nuxt, with test doubles of its auto-imports', async (t) => {
  Object.assign(globalThis, { defineEventHandler: (handler) => handler, getRequestURL: ({ path }) => new URL(path, 'https://api.example') })
  t.after(() => ['defineEventHandler', 'getRequestURL'].forEach((name) => delete globalThis[name]))
  const { default: middleware } = await import(recipe('Nuxt', 'server/middleware/auth.js'))
  const { default: endpoint } = await import(recipe('Nuxt', 'server/api/me.js'))
  await check(async ({ headers }) => {
    const event = { path: '/api/me', headers, context: {} }
    return (await middleware(event)) ?? Response.json(endpoint(event))
  })
  assert.equal(await middleware({ path: '/', headers: new Headers(), context: {} }), undefined)
})

test('Koa', async () => check(await listening(recipe('Koa'))))

test('H3', async () => {
  const { default: app } = await import(recipe('H3'))
  await check((request) => app.request(request))
})

test('Elysia', async () => {
  const { default: app } = await import(recipe('Elysia'))
  await check((request) => app.handle(request))
})

test('AWS Lambda', async () => {
  const { handler } = await import(recipe('AWS Lambda'))
  await check(async ({ url, headers }) => {
    const { host: domainName, pathname: rawPath } = new URL(url)
    const event = { requestContext: { domainName }, rawPath, rawQueryString: '', headers: Object.fromEntries(headers) }
    // Lambda answers with the result itself if it has no status code.
    const { statusCode: status, headers: answered, body, ...result } = await handler(event)
    return status === undefined ? Response.json(result) : new Response(body, { status, headers: answered })
  })
})

test('Angular', async () => {
  const { subjectOf } = await import(recipe('Angular', 'src/app/verifier.js'))
  assert.equal(await subjectOf(token()), 'somebody')
  await assert.rejects(subjectOf(token({ exp: now - 1 })), { code: 'token_expired' })
})

test('Browser extensions, with a test double of the messages', async (t) => {
  let listener
  globalThis.chrome = { runtime: { onMessage: { addListener: (given) => (listener = given) } } }
  t.after(() => delete globalThis.chrome)
  await import(recipe('Browser extensions'))
  const ask = (message) => new Promise((resolve) => assert.equal(listener(message, {}, resolve), true))
  assert.deepEqual(await ask(token()), { you: 'somebody' })
  assert.deepEqual(await ask(token({ exp: now - 1 })), { code: 'token_expired' })
})

test('pages with a login, in jsdom', async (t) => {
  const { window } = new JSDOM('<form><input name="username" value="alice"><input name="password" type="password"></form><output></output>')
  const [document, [name, password]] = [window.document, window.document.querySelectorAll('input')]
  const { fetch: before, FormData: NodeFormData } = globalThis
  t.after(() => Object.assign(globalThis, { document: undefined, FormData: NodeFormData, fetch: before, prompt: undefined, alert: undefined }))
  const told = []
  const tokens = () => ({ access_token: token(), token_type: 'Bearer', expires_in: 900, scope: 'read' })
  let methods
  const answers = {
    'https://auth.example/token': () => Response.json({ error: 'invalid_request' }, { status: 400 }),
    'https://auth.example/login': ({ body }) => {
      if (JSON.parse(body).password !== 'secret') return Response.json({ error: 'invalid_grant' }, { status: 401 })
      if (methods !== undefined) return Response.json({ error: 'mfa_required', mfa_token: 'm', expires_in: 300, methods }, { status: 401 })
      return Response.json(tokens())
    },
    'https://auth.example/login/totp': () => Response.json({ mfa_token: 'm', expires_in: 300, secret: 'ABC', uri: 'otpauth://x' }),
    'https://auth.example/login/second-factor': ({ body }) => {
      const { mfa_token, ...proof } = JSON.parse(body)
      told.push(proof)
      return Response.json({ ...tokens(), ...(methods[0] === 'totp_enrolment' && { recovery_codes: ['one', 'two'] }) })
    },
    'https://auth.example/logout': () => new Response(null, { status: 204 }),
    'https://api.example/me': ({ headers }) => Response.json({ you: headers.get('authorization') === null ? 'nobody' : 'alice' }),
  }
  const dialogs = { prompt: (text) => (text.includes('recovery') ? 'a-code' : '123456'), alert: (text) => told.push(text) }
  Object.assign(globalThis, { document, FormData: window.FormData, fetch: async (url, init) => answers[url](init), ...dialogs })
  const { session, me } = await import(recipe('Pages with a login'))
  t.after(session.close)
  const [form, notice] = [document.querySelector('form'), document.querySelector('output')]
  const says = async (text) => {
    while (notice.textContent !== text) await new Promise((resolve) => setTimeout(resolve, 10))
  }
  const submit = () => form.dispatchEvent(new window.Event('submit', { cancelable: true }))
  await says('Please log in.')
  assert.deepEqual([name.value, form.hidden], ['alice', false])
  submit()
  await says('The name or the password is wrong.')
  password.value = 'secret'
  submit()
  await says('You are logged in.')
  assert.equal(form.hidden, true)
  assert.deepEqual(await me(), { you: 'alice' })
  for (methods of [['totp', 'recovery_code', 'passkey'], ['recovery_code'], ['totp_enrolment']]) {
    await session.logout()
    await says('Please log in.')
    submit()
    await says('You are logged in.')
  }
  await new Promise((resolve) => setTimeout(resolve))
  const codes = 'Keep these codes for the day on which the app is lost:\none\ntwo'
  assert.deepEqual(told, [{ code: '123456' }, { recovery_code: 'a-code' }, { code: '123456' }, codes])
})

test('a fresh authentication: the service refuses an old one, and the page asks before the request', async (t) => {
  const { default: service } = await import(recipe('A fresh authentication', 'service.js'))
  const ask = (changes) => service.fetch(new Request('https://api.example/account', { method: 'DELETE', headers: { authorization: `Bearer ${token({ scope: 'write', ...changes })}` } }))
  assert.equal((await ask({ auth_time: now - 10 })).status, 200)
  for (const changes of [{}, { auth_time: now - 400 }]) {
    const refused = await ask(changes)
    assert.equal(refused.status, 401)
    assert.match(refused.headers.get('www-authenticate'), /error="insufficient_user_authentication", max_age="300"/)
  }
  assert.equal((await ask({ scope: 'read', auth_time: now })).status, 403)

  const fresh = () => token({ scope: 'write', auth_time: now })
  const tokens = (access_token) => Response.json({ access_token, token_type: 'Bearer', expires_in: 900, scope: 'write' })
  const answers = {
    'https://auth.example/token': ({ body }) => (String(body).includes('max_age') ? Response.json({ error: 'insufficient_user_authentication' }, { status: 401 }) : tokens(token({ scope: 'write' }))),
    'https://auth.example/login/again': () => tokens(fresh()),
    'https://api.example/account': (request) => service.fetch(new Request('https://api.example/account', request)),
  }
  const before = globalThis.fetch
  t.after(() => (globalThis.fetch = before))
  globalThis.fetch = async (url, init) => (answers[url] ?? (() => before(url, init)))(init)
  const { deleteAccount, session } = await import(recipe('A fresh authentication', 'page.js'))
  t.after(session.close)
  const asked = []
  const response = await deleteAccount(
    async () => asked.push('password') && 'secret',
    async () => asked.push('code') && '123456',
  )
  assert.deepEqual([response.status, asked], [200, ['password']])
})

test('pages on other origins get a preflight response, and may read the reason of a refusal', async () => {
  const { default: worker } = await import(recipe('Pages on other origins'))
  await check((request) => worker.fetch(request))
  const preflight = await worker.fetch(new Request('https://api.example/me', { method: 'OPTIONS' }))
  const refused = await worker.fetch(new Request('https://api.example/me'))
  assert.deepEqual([preflight.status, refused.status], [204, 401])
  for (const { headers } of [preflight, refused]) assert.equal(headers.get('access-control-allow-origin'), 'https://app.example')
  assert.match(refused.headers.get('access-control-expose-headers'), /www-authenticate/)
})

test('a token in a cookie is taken from the own page alone', async () => {
  const { default: worker } = await import(recipe('Tokens in a cookie'))
  await check((request) => worker.fetch(request))
  const statusOf = async (site, name = '__Host-token') => {
    const headers = { cookie: `theme=dark; ${name}=${token({ scope: 'read' })}; x=1`, 'sec-fetch-site': site }
    return (await worker.fetch(new Request('https://api.example/me', { headers }))).status
  }
  assert.deepEqual([await statusOf('same-origin'), await statusOf('cross-site'), await statusOf('same-origin', 'other')], [200, 401, 401])
})

test('a fixed key is read from PEM', async () => {
  const url = recipe('A fixed key')
  await writeFile(new URL('public.pem', url), createPublicKey(key.privateKey).export({ format: 'pem', type: 'spki' }))
  const { verifier } = await import(url)
  assert.equal((await verifier.verify(token())).payload.sub, 'somebody')
  await assert.rejects(verifier.verify(token({ exp: now - 1 })), { code: 'token_expired' })
})

test('each section with code has a test', async () => {
  const text = read('tests/js/recipes.test.js')
  for (const { title } of all) assert.ok(text.includes(`recipe('${title}'`), title)
  assert.ok(all.length >= 20)
})
