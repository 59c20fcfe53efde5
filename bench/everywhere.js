// Measures the verification in each runtime in turn, and reports it in tables and a chart.
import { spawn } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { writeTable } from '../tests/js/support/section.js'
import { BROWSERS } from '../tests/runtimes/browsers.js'
import { commandOf, isThisNode, RUNTIMES } from '../tests/runtimes/runtimes.js'
import { measureInBrowser } from './browsers.js'
import { barsOf, drawChart } from './chart.js'
import { circumstances, microseconds, printComparison, printTable, writeResults } from './report.js'
import { measureInWorkerd } from './workers.js'

const SCRIPT = fileURLToPath(new URL('verify.js', import.meta.url))
const PACKAGE_README = new URL('../pkg/README.md', import.meta.url)
const ALL = [...RUNTIMES, 'workerd', ...BROWSERS].filter((name) => !isThisNode(name))

/**
 * @param {{ out: string, names?: string[], rounds?: number, save?: string }} setting `out`: the folder of the results, with
 *   the kernels' modules in `kernels`; `names`: the runtimes; `save`: a second path for the chart. With it, the npm package's
 *   README gets the comparison too
 */
export async function runVerifyEverywhere({ out, names = ALL, rounds = 150, save }) {
  const setting = { rounds, folder: out, kernelFolder: join(out, 'kernels') }
  const runtimes = []
  const missing = []
  for (const name of names) {
    console.log(`\n  ${name}`)
    try {
      const results = await measureIn(name, setting)
      runtimes.push({ name, ...results })
      printRuntime(results)
    } catch (error) {
      missing.push({ name, why: error.message.trim().split('\n')[0] })
      console.log(`      left out: ${missing.at(-1).why}`)
    }
  }
  if (runtimes.length === 0) throw new Error('there is no result from any runtime')
  printSummary(runtimes)
  await writeResults(out, 'verify', { rounds, runtimes, missing })
  const chart = drawChart({ ...circumstances(), runtimes })
  for (const path of [join(out, 'verify.svg'), save].filter(Boolean)) {
    await writeFile(path, chart)
    console.log(`  drawn in ${path}`)
  }
  if (save) await writeTable(PACKAGE_README, 'comparison', comparisonOf(runtimes))
}

async function measureIn(name, setting) {
  if (name === 'workerd') return measureInWorkerd(setting)
  if (BROWSERS.includes(name)) return measureInBrowser(name, setting)
  return runScript(await commandOf(name), setting)
}

/** Returns the table of the package's README: a row for each runtime with our time, and the others' times as multiples of it. */
function comparisonOf(runtimes) {
  const { countersign: _, ...others } = circumstances().versions
  const head = ['', '**countersign**', ...Object.entries(others).map(([library, version]) => `${library} ${version}`)]
  const rows = runtimes.map(({ runtime, oneAtATime }) => {
    const times = new Map(barsOf(oneAtATime).map(({ library, ns }) => [library, ns]))
    const ours = times.get('countersign')
    const multiples = Object.keys(others).map((library) => (times.has(library) ? `${(times.get(library) / ours).toFixed(1)} ×` : '–'))
    return [runtime, `**1** (${microseconds(ours)} µs)`, ...multiples]
  })
  return [head, ...rows]
}

/** Runs verify.js and returns its results. */
function runScript([program, ...args], { rounds, kernelFolder }) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, [...args, SCRIPT, String(rounds), kernelFolder], { stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    let errors = ''
    child.stdout.setEncoding('utf8').on('data', (text) => (output += text))
    child.stderr.setEncoding('utf8').on('data', (text) => (errors += text))
    child.on('error', reject)
    child.on('close', (code) => {
      if (code === 0) return resolve(JSON.parse(output))
      reject(new Error(errors.split('\n').find((line) => /error/i.test(line)) ?? `it ended with ${code}`))
    })
  })
}

function printRuntime({ runtime, module, emptyTurn, oneAtATime, atOnce, cache, kernel, tokenLength, keyBits, keyCount, left }) {
  console.log(`  ${runtime}, ${module}; times in µs, medians; "ours ÷ it" under 1: countersign is faster`)
  if (emptyTurn) console.log(`    an empty turn takes ${microseconds(emptyTurn)} µs`)
  for (const { name, why } of left) console.log(`    ${name} is left out: ${why}`)
  printComparison('one at a time', 'µs', oneAtATime)
  printComparison('16 at once, per token', 'µs', atOnce)
  if (cache) printComparison('cache hit', 'µs', cache)
  else console.log('\n  cache hit: left out, this build of countersign has no cache')
  if (kernel) printComparison('one RSA-2048 signature alone', 'µs', kernel, 'first ÷ it')
  printSweep('characters a token', tokenLength)
  printSweep('bits a key', keyBits)
  printSweep('keys a set', keyCount)
}

function printSweep(what, rows) {
  const head = [what, ...rows.map(({ value }) => value)]
  const cells = rows[0].results.map(({ name }, at) => [name, ...rows.map(({ results }) => microseconds(results[at].ns))])
  printTable('how it grows, µs', head, cells)
}

/** Prints a line for each runtime. */
function printSummary(runtimes) {
  const rows = runtimes.map(({ runtime, oneAtATime, kernel, cache }) => {
    const [ours, ...others] = oneAtATime
    const peers = others.filter(({ name }) => !/^countersign|^node:crypto/.test(name))
    const fastest = peers.reduce((best, peer) => (peer.quiet > best.quiet ? peer : best))
    const jose = peers.find(({ name }) => name === 'jose')
    const openssl = kernel?.find(({ name }) => name.startsWith('openssl speed'))
    const fastJwt = cache?.find(({ name }) => name.startsWith('fast-jwt'))
    const of = (result) => (result === undefined ? '–' : [result.ratio, result.quiet].filter(Boolean).map((ratio) => ratio.toFixed(2)).join(' / '))
    return [runtime, microseconds(ours.ns), of(fastest), fastest.name, of(jose), of(openssl), of(fastJwt)]
  })
  const head = ['ours ÷ …, median / when quiet', 'µs', 'fastest peer', 'which is', 'jose', 'kernel ÷ openssl speed', "cache ÷ fast-jwt's"]
  printTable('in short', head, rows)
}
