// The time from a cold start to the first verdict: fresh processes, isolates and pages, ours and jose's in turn.
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { openPages } from './coldstart/pages.js'
import { openProcesses } from './coldstart/processes.js'
import { openWorkers } from './coldstart/workers.js'
import { compare, shuffled } from './lib/measure.js'
import { AUDIENCE, ISSUER, makeKey, makeTokens } from './lib/tokens.js'
import { printComparison, writeResults } from './report.js'
import { isThisNode, RUNTIMES } from '../tests/runtimes/runtimes.js'

/**
 * @typedef {object} Place
 * @property {(contestant: string) => Promise<Record<string, number>>} take starts a contestant; returns the milliseconds until
 *   its verdict, by their beginning
 * @property {() => Promise<void>} close
 *
 * @typedef {(name: string, task: object, folder: string) => Promise<Place>} Open `folder`: takes the files
 */

const CONTESTANTS = ['countersign', 'jose', 'nothing']
const PLACES = { ...Object.fromEntries(RUNTIMES.map((name) => [name, openProcesses])), workerd: openWorkers, chromium: openPages }
const ALL = Object.keys(PLACES).filter((name) => !isThisNode(name))
const LIMIT = 1.2

/** @param {{ out: string, rounds?: number, names?: string[] }} setting `names`: the runtimes */
export async function runColdStart({ out, rounds = 40, names = ALL }) {
  const key = await makeKey()
  const [token] = await makeTokens(key, 1)
  const task = { token, jwks: { keys: [key.jwk] }, issuer: ISSUER, audience: AUDIENCE }
  const runtimes = []
  const missing = []
  for (const name of names) {
    console.log(`\n  ${name}`)
    try {
      const comparisons = await measureIn(name, task, join(out, 'coldstart', name), rounds)
      runtimes.push({ name, comparisons })
      comparisons.forEach(print)
    } catch (error) {
      missing.push({ name, why: error.message.trim().split('\n')[0] })
      console.log(`      left out: ${missing.at(-1).why}`)
    }
  }
  await writeResults(out, 'coldstart', { rounds, runtimes, missing })
}

async function measureIn(name, task, folder, rounds) {
  const open = PLACES[name]
  if (open === undefined) throw new Error('only Chromium has fresh contexts')
  await mkdir(folder, { recursive: true })
  const place = await open(name, task, folder)
  const turns = Object.fromEntries(CONTESTANTS.map((contestant) => [contestant, []]))
  try {
    // The first round fills the file system's caches and is not counted.
    for (let round = -1; round < rounds; round++) {
      for (const contestant of shuffled(CONTESTANTS)) {
        const times = await place.take(contestant)
        if (round >= 0) turns[contestant].push(times)
      }
    }
  } finally {
    await place.close()
  }
  return Object.keys(turns.countersign[0]).map((beginning) => {
    const entries = CONTESTANTS.map((name) => ({ name, times: turns[name].map((times) => times[beginning] * 1e6) }))
    return { beginning, results: compare(entries), beyondNothing: compare(beyond(entries)) }
  })
}

/** Takes the time of the last contestant, `nothing`, off the others. */
function beyond(entries) {
  const nothing = entries.at(-1)
  return entries.slice(0, -1).map(({ name, times }) => ({ name, times: times.map((ns, round) => ns - nothing.times[round]) }))
}

function print({ beginning, results, beyondNothing }) {
  printComparison(`first verdict, ${beginning}`, 'ms', results)
  const [{ ratio }, beyond] = [results, beyondNothing].map(([, jose]) => jose)
  const verdict = ratio <= LIMIT ? 'within' : 'OVER'
  console.log(`    ${ratio.toFixed(2)} × jose, ${verdict} the limit of ${LIMIT}; ${beyond.ratio.toFixed(2)} × without the time of nothing`)
}
