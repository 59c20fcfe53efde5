// The time from the start of a process to its first verdict: fresh processes, ours and jose's in turn.
import { spawnSync } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { median } from './lib/measure.js'
import { makeKey, makeTokens } from './lib/tokens.js'
import { microseconds, printTable, writeResults } from './report.js'
import { commandOf, RUNTIMES } from '../tests/runtimes/runtimes.js'

const PROGRAMS = ['countersign', 'jose', 'nothing']
const DEFAULT_ROUNDS = 40
const LIMIT = 1.2

/** @param {{ out: string, rounds?: number, names?: string[] }} setting `names`: the runtimes; browsers start no script */
export async function runColdStart({ out, rounds = DEFAULT_ROUNDS, names = ['node'] }) {
  const scripted = names.filter((name) => RUNTIMES.includes(name))
  if (scripted.length === 0) return console.log('\n  cold start is left out: browsers start no script')
  const key = await makeKey()
  const [token] = await makeTokens(key, 1)
  const task = join(out, 'coldstart-task.json')
  await writeFile(task, JSON.stringify({ token, jwk: key.jwk }))
  const runtimes = []
  for (const name of scripted) {
    const command = await commandOf(name)
    const results = measure(command, task, rounds)
    runtimes.push({ name, results })
    const rows = results.map(({ name, wall, inside, ratio }) => [name, milliseconds(wall), inside ? milliseconds(inside) : '', ratio.toFixed(2)])
    printTable(`cold start in ${name}, ms, medians of ${rounds} processes`, ['', 'process', 'import to verdict', 'ours ÷ it'], rows)
    const { ratio } = results.find(({ name }) => name === 'jose')
    console.log(`    ${ratio.toFixed(2)} × jose, ${ratio <= LIMIT ? 'within' : 'OVER'} the limit of ${LIMIT}`)
  }
  await writeResults(out, 'coldstart', { rounds, runtimes })
}

function measure([program, ...args], task, rounds) {
  const times = PROGRAMS.map(() => [])
  // The first of each fills the file system's caches and is not counted.
  for (let round = -1; round < rounds; round++) {
    for (let turn = 0; turn < PROGRAMS.length; turn++) {
      const at = (turn + Math.max(round, 0)) % PROGRAMS.length
      const script = fileURLToPath(new URL(`coldstart/${PROGRAMS[at]}.js`, import.meta.url))
      const start = performance.now()
      const { status, stdout, stderr } = spawnSync(program, [...args, script, task], { encoding: 'utf8' })
      const wall = (performance.now() - start) * 1e6
      if (status !== 0) throw new Error(`${PROGRAMS[at]} failed in ${program}: ${stderr.trim().split('\n')[0]}`)
      if (round >= 0) times[at].push({ wall, inside: Number(stdout) * 1e6 })
    }
  }
  return PROGRAMS.map((name, at) => ({
    name,
    wall: median(times[at].map(({ wall }) => wall)),
    inside: median(times[at].map(({ inside }) => inside)),
    ratio: median(times[at].map(({ wall }, round) => times[0][round].wall / wall)),
  }))
}

function milliseconds(ns) {
  return microseconds(ns / 1000)
}
