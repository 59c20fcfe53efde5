// Holds docs/issuers.md and tests/vectors/issuers.json together.
import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { createVerifier } from 'countersign'

const page = await readFile(new URL('../../docs/issuers.md', import.meta.url), 'utf8')
const vectors = JSON.parse(await readFile(new URL('../vectors/issuers.json', import.meta.url), 'utf8'))

const AsyncFunction = (async () => {}).constructor

/** Returns the title, the text, the options and the vectors of each section with options. */
async function sections() {
  const found = []
  for (const text of page.split(/^## /m).slice(1)) {
    const [title] = text.split('\n', 1)
    const [, block] = /^```js\n([^]*?)^```$/m.exec(text) ?? []
    if (block === undefined) continue
    const read = new AsyncFunction('createVerifier', 'fetchAsPod', `${block}; return verifier`)
    const options = await read((options) => options, () => {})
    found.push({ title, text, options, vectors: vectors.filter(({ name }) => name.startsWith(`${title}: `)) })
  }
  return found
}

const all = await sections()

/** Leaves out the keys, which a vector contains and an issuer serves. */
function policyOf({ jwks, fetch, ...policy }) {
  return policy
}

test('each section has the options of its vectors', () => {
  assert.ok(all.length >= 20)
  for (const { title, options, vectors } of all) {
    for (const vector of vectors) assert.deepEqual(policyOf(vector.options), policyOf(options), vector.name)
    assert.ok(vectors.some(({ expect }) => expect === 'ok'), `${title}: accepted`)
    assert.ok(vectors.some(({ expect }) => expect !== 'ok'), `${title}: refused`)
  }
})

test('each vector belongs to a section', () => {
  assert.equal(all.flatMap(({ vectors }) => vectors).length, vectors.length)
})

test('each section names its algorithm and its sources, and the first table links it', () => {
  const [, table] = /^## Find your issuer\n([^]*?)^For all issuers/m.exec(page)
  for (const { title, text } of all) {
    assert.match(text, /^\| algorithm \|/m, title)
    assert.match(text, /^\| read in \| .*\]\(/m, title)
    assert.ok(table.includes(`(#${title.toLowerCase().replaceAll(/[^\w -]/g, '').replaceAll(' ', '-')})`), title)
  }
})

for (const { title, options, vectors } of all) {
  test(`${title}: the options find the keys, and give each vector its verdict`, async () => {
    for (const { name, token, expect, now, options: { jwks } } of vectors) {
      const { fetch, requested } = server(options, jwks)
      const verifier = await createVerifier({ ...options, fetch, now: () => now })
      const verdict = await verifier.verify(token).then(() => 'ok', ({ code }) => code)
      assert.equal(verdict, expect, name)
      if (expect === 'ok') assert.ok(requested.length > 0)
    }
  })
}

/** Serves a key set at the option `jwks`, or at an address that only the OpenID metadata of the issuer names. */
function server({ issuer, jwks }, set) {
  const requested = []
  const documents = new Map([[jwks ?? 'https://keys.example/jwks', set]])
  if (jwks === undefined) {
    const metadata = { issuer, jwks_uri: 'https://keys.example/jwks' }
    documents.set(`${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`, metadata)
  }
  const fetch = async (url) => {
    requested.push(String(url))
    const document = documents.get(String(url))
    return document === undefined ? new Response('', { status: 404 }) : Response.json(document)
  }
  return { fetch, requested }
}

test('the fetch for pods sends the token of the pod', async (t) => {
  const { text } = all.find(({ title }) => title === 'Kubernetes service accounts')
  const [, [, block]] = [...text.matchAll(/^```js\n([^]*?)^```$/gm)]
  const folder = await mkdtemp(join(tmpdir(), 'countersign-pod-'))
  t.after(() => rm(folder, { recursive: true }))
  await writeFile(join(folder, 'token'), 'the-token')
  const code = block
    .replace(/^import \{ readFile \} from '([^']+)'$/m, (_, module) => `const { readFile } = await import('${module}')`)
    .replace('/var/run/secrets/kubernetes.io/serviceaccount', folder)
  const sent = []
  const fetchAsPod = await new AsyncFunction('fetch', `${code}; return fetchAsPod`)(async (url, init) => void sent.push([url, init]))
  await fetchAsPod('https://kubernetes.default.svc/openid/v1/jwks', { redirect: 'manual', headers: { accept: 'application/json' } })
  const [[url, { redirect, headers }]] = sent
  assert.deepEqual([url, redirect], ['https://kubernetes.default.svc/openid/v1/jwks', 'manual'])
  assert.deepEqual(Object.fromEntries(headers), { accept: 'application/json', authorization: 'Bearer the-token' })
})
