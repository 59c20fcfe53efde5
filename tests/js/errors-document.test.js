// docs/errors.md has every code of the verifier: its stage, its response and its messages.
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { createVerifier } from 'countersign'
import { guard } from 'countersign/guard'
import { statusList } from 'countersign/status'
import { refuse, STAGE_OF } from '../../pkg/dist/errors.js'
import { read, table } from './support/documents.js'

const page = read('docs/errors.md')
const CODES = Object.keys(STAGE_OF)

test('the table has the stage, the response and the retry of each code, in the order of the verifier', async () => {
  const [, ...rows] = table(page, 'All codes')
  const expected = []
  for (const code of CODES) {
    const { retryable, stage } = refuse({ code, message: '' })
    expected.push([`[\`${code}\`](#${code})`, `\`${stage}\``, await responseTo(code), retryable ? 'yes' : 'no'])
  }
  assert.deepEqual(rows.map((cells) => cells.slice(0, 4)), expected)
})

/** Returns the status and the error with which the guard answers. Frameworks answer 500 to errors that it throws. */
async function responseTo(code) {
  const verifier = { verify: async () => { throw refuse({ code, message: '' }) } }
  const request = new Request('https://api.example/', { headers: { authorization: 'Bearer a.b.c' } })
  const { response } = await guard(request, verifier).catch(() => ({}))
  if (response === undefined) return '500'
  assert.equal(response.headers.has('www-authenticate'), response.status !== 503)
  return `${response.status} \`${(await response.json()).error}\``
}

test('each link to an RFC leads to the section that it names', () => {
  const links = [...page.matchAll(/\[RFC (\d+) §([\d.]+)\]\((\S+)\)/g)]
  assert.ok(links.length > 15)
  for (const [, rfc, section, url] of links) assert.equal(url, `https://www.rfc-editor.org/rfc/rfc${rfc}#section-${section}`)
})

test('each code has a section with messages, a cause and a fix', () => {
  assert.deepEqual(sections().map(({ code }) => code), CODES)
  for (const { code, text, messages } of sections()) {
    assert.ok(messages.length > 0, code)
    assert.match(text, /^- \*\*Cause:\*\* [^]*^- \*\*Fix:\*\* /m, code)
  }
})

test('each message is one that the verifier gives', async () => {
  const given = await messagesOfVectors()
  for (const { code, messages } of sections()) {
    for (const message of messages) {
      const pattern = new RegExp(`^${message.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&').replaceAll('…', '.+')}$`)
      assert.ok(given.get(code)?.some((text) => pattern.test(text)), `${code}: ${message}`)
    }
  }
})

test('each error that is no refusal is one of the package', () => {
  const folder = new URL('../../pkg/src/', import.meta.url)
  const sources = readdirSync(folder, { recursive: true }).filter((name) => name.endsWith('.ts'))
  const source = sources.map((name) => readFileSync(new URL(name, folder), 'utf8')).join('\n')
  const [, ...rows] = table(page, 'Errors that are no refusal')
  for (const [cell] of rows) assert.ok(source.includes(/"(.+)"/.exec(cell)[1]), cell)
})

function sections() {
  return page.split(/^### /m).slice(1).map((section) => {
    const [title, ...lines] = section.split('\n')
    const messages = lines.filter((line) => line.startsWith('> ')).map((line) => line.slice(2))
    return { code: title.replaceAll('`', ''), text: lines.join('\n'), messages }
  })
}

/** Returns the messages of all refused vectors, by their code. */
async function messagesOfVectors() {
  const folder = new URL('../vectors/', import.meta.url)
  const readJson = (url) => JSON.parse(readFileSync(url, 'utf8'))
  const vectors = readdirSync(folder).flatMap((name) => readJson(new URL(name, folder)))
  const statusVectors = readJson(new URL('../status_lists.json', import.meta.url))
  const messages = new Map()
  const note = ({ code, message }) => messages.set(code, [...messages.get(code) ?? [], message])
  for (const { token, options, now } of vectors) {
    const jwks = options.jwks ?? 'https://auth.example/jwks.json'
    await createVerifier({ ...options, jwks, now: () => now }).then((verifier) => verifier.verifySync(token)).catch(note)
  }
  for (const { token, options, status, list, now } of statusVectors) {
    const fetch = async () => (list === null ? new Response('', { status: 404 }) : new Response(list))
    const verifier = await createVerifier({ ...options, fetch, now: () => now, status: statusList(status) })
    await verifier.verify(token).catch(note)
  }
  return messages
}
