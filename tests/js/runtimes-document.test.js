// docs/runtimes.md and docs/performance.md name rows of the table of tested versions, which the matrix of tests/packaging writes.
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { Miniflare, Response } from 'miniflare'
import { claims, makeKey, makeToken } from './package-tokens.js'
import { codeBlocks, read, ROOT, table, tables } from './support/documents.js'

const [, ...tested] = table(read('pkg/README.md'), 'Where it runs')
const kernelOf = new Map(tested.map(([name, , , kernel]) => [name, kernel]))

test('each section about a runtime names the rows that prove it', () => {
  const sections = read('docs/runtimes.md').split(/^## /m).slice(1)
  let rows = 0
  for (const section of sections) {
    const [title] = section.split('\n', 1)
    const [, list = ''] = /^Tested[^:]*: ([^]*?)\.$/m.exec(section) ?? []
    const names = [...list.matchAll(/`([^`]+)`/g)].map(([, name]) => name)
    for (const name of names) assert.ok(kernelOf.has(name), `${title}: ${name}`)
    rows += names.length
    // The first section is an index, Lambda is Node.js, and Rust has tests of its own.
    if (!['Which import', 'AWS Lambda', 'Rust'].includes(title)) assert.ok(names.length > 0, title)
  }
  assert.ok(rows > 40, `${rows} rows`)
})

test('each runtime has the kernel that docs/performance.md says', () => {
  const [, ...rows] = tables(read('docs/performance.md')).find(([[heading]]) => heading === 'runtime')
  assert.ok(rows.length > 5)
  for (const [name, kernel] of rows) assert.equal(kernelOf.get(name), kernel, name)
})

test('the Worker of docs/runtimes.md accepts good tokens in workerd, and puts the keys into its KV namespace', { timeout: 60_000 }, async (t) => {
  const { text } = codeBlocks(read('docs/runtimes.md')).find(({ section, language }) => section === 'Cloudflare Workers' && language === 'js')
  await mkdir(join(ROOT, 'target'), { recursive: true })
  const folder = await mkdtemp(join(ROOT, 'target/worker-'))
  t.after(() => rm(folder, { recursive: true }))
  const entry = (name) => `'../../pkg/dist/${name}.js'`
  await writeFile(join(folder, 'worker.js'), text.replace(`'countersign'`, entry('workerd')).replace(`'countersign/guard'`, entry('guard')))

  const key = makeKey('k1')
  const documents = {
    '/.well-known/oauth-authorization-server': { issuer: 'https://auth.example', jwks_uri: 'https://auth.example/jwks.json' },
    '/jwks.json': { keys: [key.jwk] },
  }
  const worker = new Miniflare({
    cf: false,
    modules: true,
    modulesRoot: ROOT,
    scriptPath: join(folder, 'worker.js'),
    modulesRules: [{ type: 'ESModule', include: ['**/*.js'] }, { type: 'CompiledWasm', include: ['**/*.wasm'] }],
    compatibilityDate: '2024-09-23',
    kvNamespaces: ['KEYS'],
    outboundService: ({ url }) => Response.json(documents[new URL(url).pathname]),
  })
  t.after(() => worker.dispose())
  const iat = Math.floor(Date.now() / 1000)
  const send = async (changes) => {
    const token = makeToken(key, claims({ iat, exp: iat + 900, scope: 'read', ...changes }))
    const { status } = await worker.dispatchFetch('https://api.example/', { headers: { authorization: `Bearer ${token}` } })
    return status
  }
  assert.deepEqual([await send({}), await send({ exp: iat - 1 }), await send({ scope: 'other' })], [200, 401, 403])
  const { keys } = await (await worker.getKVNamespace('KEYS')).list()
  assert.ok(keys.some(({ name }) => name.startsWith('https://auth.example/jwks.json')), JSON.stringify(keys))
})
