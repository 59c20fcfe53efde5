// The examples as a user copies them: with the package from its tarball and tokens of a running issuer.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, test } from 'node:test'
import { Miniflare } from 'miniflare'
import { build, preview } from 'vite'
import { freePort, logIn, startIssuer } from '../js/support/issuer.js'
import { tamperWith } from '../js/support/tampering.js'
import { launchChromium } from '../runtimes/chromium.js'
import { programOf } from '../runtimes/runtimes.js'
import { bundle, inExample, workerIn } from './example.js'
import { pack } from './project.js'
import { isSkipped } from '../runtimes/skip.js'

const AUDIENCE = 'api'

let folder, tarball, issuer

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'countersign-tarball-'))
  tarball = (await pack(folder)).tarball
  issuer = await startIssuer({ flags: ['--status-lists'] })
})
after(async () => {
  await issuer?.stop()
  await rm(folder, { recursive: true })
})

/** Returns a token for one of the user's scopes. */
async function tokenFor(scope) {
  const { refresh_token } = await logIn(issuer.url)
  const body = new URLSearchParams({ grant_type: 'refresh_token', refresh_token, scope })
  return (await (await fetch(`${issuer.url}/token`, { method: 'POST', body })).json()).access_token
}

const bearer = (token) => ({ authorization: `Bearer ${token}` })

const servers = {
  express: { tools: ['express'], runtime: 'node', args: ['server.js'] },
  hono: { tools: ['hono'], runtime: 'bun', args: ['server.ts'] },
  // The project's package.json names the package, like deno.json.
  deno: { tools: [], runtime: 'deno', args: ['run', '--no-config', '--node-modules-dir=manual', '--no-prompt', '--allow-net', '--allow-env=ISSUER,AUDIENCE,PORT', 'server.ts'] },
}
for (const [name, { tools, runtime, args }] of Object.entries(servers)) {
  test(`the example ${name} accepts valid tokens for their scope`, () => inExample({ tarball, name, tools }, async (cwd) => {
    const { program } = await programOf(runtime)
    const env = { ...process.env, ISSUER: issuer.url, AUDIENCE, PORT: '0' }
    const child = spawn(program, args, { cwd, env, stdio: ['ignore', 'pipe', 'inherit'] })
    try {
      const [line] = await once(createInterface({ input: child.stdout }), 'line')
      const notes = `${/^listening on (http:\/\/\S+?)\/?$/.exec(line)[1]}/notes`
      const { access_token: token } = await logIn(issuer.url)

      assert.deepEqual(await (await fetch(notes, { headers: bearer(token) })).json(), { notes: [] })
      const added = await fetch(notes, { method: 'POST', body: 'hello', headers: { ...bearer(token), 'content-type': 'text/plain' } })
      assert.equal(added.status, 201)
      const [{ by, text }] = (await added.json()).notes
      assert.deepEqual({ by: typeof by, text }, { by: 'string', text: 'hello' })

      const nobody = await fetch(notes)
      assert.deepEqual([nobody.status, nobody.headers.get('www-authenticate')], [401, 'Bearer'])
      const forged = await fetch(notes, { headers: bearer(tamperWith(token)) })
      assert.deepEqual([forged.status, (await forged.json()).error], [401, 'invalid_token'])
      const reader = await fetch(notes, { method: 'POST', body: 'hello', headers: bearer(await tokenFor('read')) })
      assert.deepEqual([reader.status, (await reader.json()).error], [403, 'insufficient_scope'])
    } finally {
      child.kill()
    }
  }))
}

test('the example cloudflare-worker forwards requests with valid tokens, and only with their own claims', () => inExample({ tarball, name: 'cloudflare-worker' }, async (cwd) => {
  const site = createServer((request, response) => response.end(JSON.stringify({ url: request.url, headers: request.headers })))
  site.listen(0, '127.0.0.1')
  await once(site, 'listening')
  const bindings = { ISSUER: issuer.url, AUDIENCE, ORIGIN: `http://127.0.0.1:${site.address().port}` }
  const worker = new Miniflare({ ...workerIn(await bundle(cwd)), bindings })
  const ask = (headers) => worker.dispatchFetch('http://worker/page?a=b', { headers })
  try {
    const { access_token: token } = await logIn(issuer.url)
    const forged = { 'X-Verified-Sub': 'somebody-else', 'x-verified-admin': 'yes', x_verified_sub: 'somebody-else', 'x.verified.sub': 'somebody-else', 'x-other': 'stays' }
    const { url, headers } = await (await ask({ ...bearer(token), ...forged })).json()
    assert.equal(url, '/page?a=b')
    assert.deepEqual([headers.x_verified_sub, headers['x.verified.sub']], [undefined, undefined])
    // As a relative reference, this path would name another host.
    const path = '//elsewhere.invalid/page'
    assert.equal((await (await worker.dispatchFetch(`http://worker${path}`, { headers: bearer(token) })).json()).url, path)
    assert.equal(headers.authorization, undefined)
    assert.equal(headers['x-other'], 'stays')
    // The runtime writes this if the request must pass its cache.
    assert.equal(headers.pragma, 'no-cache')
    const [, payload] = token.split('.')
    const { sub, client_id, scope } = JSON.parse(Buffer.from(payload, 'base64url'))
    const verified = Object.entries(headers).filter(([name]) => name.startsWith('x-verified-'))
    assert.deepEqual(Object.fromEntries(verified), {
      'x-verified-sub': encodeURIComponent(sub),
      'x-verified-client-id': encodeURIComponent(client_id),
      'x-verified-scope': encodeURIComponent(scope),
    })
    assert.equal((await ask(forged)).status, 401)
    assert.equal((await ask(bearer(tamperWith(token)))).status, 401)
    assert.equal((await ask(bearer(await tokenFor('write')))).status, 403)
  } finally {
    await worker.dispose()
    site.close()
  }
}))

test('the example vite shows the subject and the remaining time of a token', { skip: isSkipped(['chromium']) }, () => inExample({ tarball, name: 'vite' }, async (root) => {
  await writeFile(join(root, '.env'), `VITE_ISSUER=${issuer.url}\nVITE_AUDIENCE=${AUDIENCE}\n`)
  await build({ root, logLevel: 'error' })
  const port = await freePort()
  const server = await preview({ root, preview: { host: '127.0.0.1', port, strictPort: true } })
  const browser = await launchChromium()
  try {
    const page = await browser.newPage()
    await page.goto(`http://127.0.0.1:${port}/`)
    const { access_token: token } = await logIn(issuer.url)
    await page.fill('#token', token)
    await page.waitForFunction(() => document.querySelector('#time').value.startsWith('It expires in '))
    assert.match(await page.locator('#verdict').textContent(), /^It is .+'s\.$/)
    await page.fill('#token', tamperWith(token))
    await page.waitForFunction(() => document.querySelector('#verdict').value.startsWith('signature_invalid: '))
    assert.equal(await page.locator('#time').textContent(), '')
  } finally {
    await browser.close()
    await server.close()
  }
}))
