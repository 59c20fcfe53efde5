// The claims of docs/scale.md, by a short form of the simulation in bench/scale.
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { before, test } from 'node:test'
import { bytesOfList } from '../../bench/scale/costs.js'
import { DEFAULTS, SCENARIOS } from '../../bench/scale/scenarios.js'

/** An eighth of the document's fleet. Its peaks vary more, and its sums hardly. */
const SHORT = { ...DEFAULTS, points: 4 }

const results = new Map()
before(async () => {
  for (const [name, scenario] of Object.entries(SCENARIOS)) results.set(name, await scenario(SHORT))
})

test('the table has the fetches and requests of each scenario', async () => {
  const rows = await rowsOf('fleet')
  assert.deepEqual(rows.map(([name]) => name), [...results.keys()])
  for (const [name, fetches, requests] of rows) {
    const { fetches: simulated, origin } = results.get(name)
    near(simulated, Number(fetches), `${name}: fetches`)
    near(origin, Number(requests), `${name}: requests to the issuer`)
  }
})

test('jitter takes the later peaks of a common start and of a change of keys away', () => {
  for (const name of ['key set: all verifiers start at once', 'key set: a planned change']) {
    const [jitter, without] = [results.get(name).later, results.get(`${name}, without jitter`).later]
    assert.ok(jitter < without / 1.5, `${name}: ${jitter}, without jitter ${without}`)
  }
  const name = 'key set: all verifiers start at once'
  assert.ok(results.get(name).later < results.get(`${name}, without jitter`).later / 4)
})

test('a cache at each point keeps the fetches of status lists away from the issuer, and nearly all calls from waiting', () => {
  const [plain, cached] = [results.get('100 status lists'), results.get('100 status lists, a cache at each point')]
  assert.ok(cached.origin < plain.origin / 5, `${cached.origin} and ${plain.origin} requests`)
  assert.ok(cached.waited < plain.waited / 5, `${cached.waited} and ${plain.waited} of the calls wait`)
})

test('a status list has the bytes of the table', async () => {
  const rows = await rowsOf('lists')
  // The bits are set at random. If there are few, their number varies more.
  const many = rows.filter(([share]) => parseFloat(share) >= 1)
  assert.equal(many.length, 3)
  for (const [share, bytes] of many) near(bytesOfList(parseFloat(share) / 100), Number(bytes), share)
})

/** The sums of a small fleet differ from those of a large one by a few percent. */
function near(actual, expected, what) {
  assert.ok(Math.abs(actual / expected - 1) < 0.15, `${what}: ${actual}; the document has ${expected}`)
}

/** Returns the rows of a table of the document, without its head. */
async function rowsOf(name) {
  const text = await readFile(new URL('../../docs/scale.md', import.meta.url), 'utf8')
  const [, table] = text.split(new RegExp(`<!-- ${name}: (?:begin|end) -->`))
  const [, , ...rows] = table.trim().split('\n')
  return rows.map((row) => row.split('|').slice(1, -1).map((cell) => cell.trim()))
}
