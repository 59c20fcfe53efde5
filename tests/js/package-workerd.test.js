// The package in workerd, the runtime of Cloudflare Workers: as plain modules, the way a deployed Worker has them.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readdir, readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { dirname, join } from 'node:path'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Miniflare } from 'miniflare'
import { AUDIENCE, ISSUER, makeKey, makeToken } from './package-tokens.js'

const support = fileURLToPath(new URL('support/', import.meta.url))
const vectors = fileURLToPath(new URL('../vectors/', import.meta.url))
const dist = fileURLToPath(new URL('../../pkg/dist/', import.meta.url))

const worker = new Miniflare({ modules: await modulesOf(), compatibilityDate: '2024-09-23' })
after(() => worker.dispose())

/** The Worker, its entry first, and the package as its exports name it under the condition `workerd`. */
async function modulesOf() {
  const { exports } = JSON.parse(await readFile(join(dist, '../package.json'), 'utf8'))
  const entry = exports['.'].workerd.replace('./dist/', './package/')
  const modules = [
    { type: 'ESModule', path: 'worker.js', contents: await readFile(join(support, 'worker.js'), 'utf8') },
    { type: 'ESModule', path: 'vectors.js', contents: await readFile(join(support, 'vectors.js'), 'utf8') },
    { type: 'ESModule', path: 'countersign', contents: `export * from '${entry}'` },
    { type: 'CompiledWasm', path: 'package/wasm/countersign.relaxed.wasm', contents: await readFile(join(dist, 'wasm/countersign.relaxed.wasm')) },
  ]
  for (const name of await readdir(dist)) {
    if (!name.endsWith('.js') || name === 'inline.js') continue
    modules.push({ type: 'ESModule', path: `package/${name}`, contents: await readFile(join(dist, name), 'utf8') })
  }
  return modules
}

async function post(path, job) {
  const response = await worker.dispatchFetch(`http://worker${path}`, { method: 'POST', body: JSON.stringify(job) })
  return { status: response.status, body: await response.json() }
}

for (const name of await readdir(vectors)) {
  test(`every vector of ${name} gets its verdict in workerd`, async () => {
    const { body } = await post('/vectors', JSON.parse(await readFile(join(vectors, name), 'utf8')))
    assert.deepEqual(body, [])
  })
}

test('a Worker fetches the keys and verifies requests one after the other and at once', async (t) => {
  const key = makeKey('k1')
  let requests = 0
  const server = createServer((_, response) => {
    requests++
    response.end(JSON.stringify({ keys: [key.jwk] }))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  const jwks = `http://127.0.0.1:${server.address().port}/jwks.json`
  const iat = Math.floor(Date.now() / 1000)
  const claims = { iss: ISSUER, aud: AUDIENCE, sub: 'somebody', iat, exp: iat + 900 }
  const job = { options: { issuer: ISSUER, audience: AUDIENCE, jwks }, token: makeToken(key, claims) }

  const answers = await Promise.all(Array.from({ length: 8 }, () => post('/verify', job)))
  for (const answer of [...answers, await post('/verify', job)]) assert.deepEqual(answer, { status: 200, body: claims })
  assert.ok(requests >= 1 && requests <= 8, `${requests} fetches`)
  const forged = await post('/verify', { ...job, token: makeToken(makeKey('k1'), claims) })
  assert.equal(forged.body.code, 'signature_invalid')
})
