// Runs the system with faults for some minutes: node tests/system/soak.js --minutes 30 [--seed 7] [--report FILE]
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { quantile, timesOf } from './ledger.js'
import { reportOf } from './report.js'
import { World } from './world.js'

/** The time between lines of progress: milliseconds. */
const PROGRESS_EVERY = 15_000

/**
 * Runs the system with faults. The seed repeats the faults, their order and their times, but not how the machine schedules them.
 *
 * @param {{ minutes: number, seed: number, say: (line: string) => void, signal?: AbortSignal }} options `signal` ends it early
 * @returns {Promise<import('./ledger.js').Ledger>}
 */
export async function soak({ minutes, seed, say, signal }) {
  say(`${minutes} minutes with the seed ${seed}`)
  const world = await World.start({ seed, say })
  try {
    world.faults.start()
    for (const end = Date.now() + minutes * 60_000; Date.now() < end && !signal?.aborted; ) {
      await sleep(Math.min(PROGRESS_EVERY, end - Date.now()), undefined, { signal }).catch(() => {})
      world.say(wordsOf(world.ledger))
    }
    await world.faults.stop()
    await world.end()
    world.say(wordsOf(world.ledger))
    return world.ledger
  } finally {
    await world.stop()
  }
}

function wordsOf({ counts, violations, faults }) {
  const counted = Object.entries(counts).map(([name, count]) => `${count} ${name}`)
  return [...counted, `${faults.length} faults`, `${violations.length} violations`].join(', ')
}

/** Describes the run as lines of text. */
export function summaryOf(ledger) {
  const faults = Object.entries(timesOf(ledger.faults))
  const revocations = Object.entries(ledger.revocations)
  return [
    wordsOf(ledger),
    ...faults.map(([name, times]) => `${name}: ${times} times`),
    ...revocations.map(([edge, values]) => {
      const [p50, max] = [quantile(values, 0.5), quantile(values, 1)].map((value) => value.toFixed(1))
      return `logout to refusal at ${edge}: p50 ${p50} s, max ${max} s, ${values.length} times`
    }),
  ]
}

async function main() {
  const { values } = parseArgs({ options: { minutes: { type: 'string' }, seed: { type: 'string' }, report: { type: 'string' } } })
  const minutes = Number(values.minutes)
  const seed = Number(values.seed ?? Math.floor(Math.random() * 1e6))
  if (!(minutes > 0) || !Number.isInteger(seed)) {
    throw new Error('expected --minutes N, and --seed S, a whole number, to repeat the faults of another run')
  }
  const ledger = await soak({ minutes, seed, say: console.log, signal: untilDisconnected() })
  for (const line of summaryOf(ledger)) console.log(line)
  if (values.report !== undefined) {
    await mkdir(dirname(values.report), { recursive: true })
    await writeFile(values.report, reportOf(ledger, { minutes, seed }))
    console.log(`the report is in ${values.report}`)
  }
  if (ledger.violations.length > 0) process.exitCode = 1
}

/** Returns a signal that is aborted once the parent has ended the run, or is gone. */
function untilDisconnected() {
  const ending = new AbortController()
  process.on('disconnect', () => ending.abort())
  // The listener alone would keep the process running.
  process.channel.unref()
  return ending.signal
}

/**
 * Runs `main` in another process. SIGINT and SIGTERM end the run early, and then everything that it has started: in the process
 * of the run, Miniflare would end it at once. That process has a group of its own, which Ctrl-C does not reach.
 */
async function supervise(file) {
  const run = fork(file, process.argv.slice(2), { detached: true })
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => run.connected && run.disconnect())
  const [code] = await once(run, 'exit')
  process.exitCode = code ?? 1
}

const FILE = fileURLToPath(import.meta.url)

if (process.argv[1] === FILE) await (process.send === undefined ? supervise(FILE) : main())
