// What many verifiers ask of an issuer: a simulation with the package's own caches, and the measured costs of one request.
// `node bench/scale.js [fleet|costs] [--points N] [--isolates N] [--rate N] [--seed N] [--save]`; see docs/scale.md.
import { writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { writeTable } from '../tests/js/support/section.js'
import { circumstances, printTable } from './report.js'
import { drawWaves } from './scale/chart.js'
import { bytesOfList, measureCosts } from './scale/costs.js'
import { DEFAULTS, SCENARIOS, startOf } from './scale/scenarios.js'

const DOCUMENT = new URL('../docs/scale.md', import.meta.url)
const CHART = new URL('../docs/scale.svg', import.meta.url)

/** The shares of ended sessions for which the size of a list is computed. */
const SHARES = [0, 0.0001, 0.001, 0.01, 0.05, 0.25]

const FLEET_HEAD = [
  '', 'fetches of a verifier, an hour', 'requests of a point to the issuer, an hour', 'peak within 30 s', 'later peak', 'calls that wait',
]

const PARTS = { fleet: showFleet, costs: showCosts }

try {
  const numbers = Object.fromEntries(Object.keys(DEFAULTS).map((name) => [name, { type: 'string' }]))
  const { values, positionals } = parseArgs({ allowPositionals: true, options: { ...numbers, save: { type: 'boolean' } } })
  const { save = false, ...given } = values
  const setting = { ...DEFAULTS, ...Object.fromEntries(Object.entries(given).map(([name, text]) => [name, readNumber(name, text)])) }
  const parts = positionals.length === 0 ? Object.keys(PARTS) : positionals
  const unknown = parts.find((name) => PARTS[name] === undefined)
  if (unknown !== undefined) throw new Error(`there is no part "${unknown}"; expected fleet or costs`)
  for (const part of parts) await PARTS[part]({ setting, save })
} catch (error) {
  console.error(process.env.DEBUG ? error : `scale: ${error.message}`)
  process.exitCode = 1
}

function readNumber(name, text) {
  const number = Number(text)
  if (!(number > 0)) throw new Error(`--${name} is ${text}; expected a number greater than 0`)
  return number
}

async function showFleet({ setting, save }) {
  const rows = []
  for (const [name, scenario] of Object.entries(SCENARIOS)) {
    rows.push([name, ...cellsOf(await scenario(setting))])
    console.log(`  simulated: ${name}`)
  }
  const { points, isolates, rate } = setting
  printTable(`${points} points, ${isolates} verifiers at each, ${rate} tokens a second for each`, FLEET_HEAD, rows)
  if (!save) return
  await writeTable(DOCUMENT, 'fleet', [FLEET_HEAD, ...rows])
  const partsOf = async (jitter) => (await startOf({ ...setting, jitter })).map((count) => count / (points * isolates))
  const series = { 'without jitter': await partsOf(false), 'with the jitter of the package': await partsOf(true) }
  await writeFile(CHART, drawWaves(series, setting))
}

function cellsOf({ fetches, origin, first, later, waited }) {
  return [fetches.toFixed(1), String(Math.round(origin)), percent(first), percent(later), percent(waited)]
}

function percent(part) {
  return part === undefined ? '–' : `${(100 * part).toFixed(1)} %`
}

async function showCosts({ save }) {
  const { signature, results } = await measureCosts()
  const { processors, system, processor } = circumstances().machine
  const microseconds = (signature * 1e6).toFixed(0)
  console.log(`  ${processor}, ${processors} processors, ${system}; an RS256 signature of OpenSSL: ${microseconds} µs`)
  const head = ['', 'processor, in signatures', 'rows', 'bytes written', 'bytes of the answer']
  const rows = Object.entries(results).flatMap(([database, costs]) =>
    Object.entries(costs).map(([what, { seconds, changed, written, received }]) => {
      return [`${what}, ${database}`, (seconds / signature).toFixed(1), changed?.toFixed(0) ?? '–', Math.round(written), received].map(String)
    }))
  printTable('the cost of one', head, rows)
  const sizesHead = ['bits that are set', 'bytes']
  const sizes = SHARES.map((share) => [`${100 * share} %`, String(bytesOfList(share))])
  printTable('the bits of a status list, compressed', sizesHead, sizes)
  if (!save) return
  await writeTable(DOCUMENT, 'costs', [head, ...rows])
  await writeTable(DOCUMENT, 'lists', [sizesHead, ...sizes])
}
