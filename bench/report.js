// Tables for terminals, and the files of results with machine, date and versions.
import { execFileSync } from 'node:child_process'
import { createRequire } from 'node:module'
import { readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { cpus, loadavg } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Prints rows of cells under a headline. The first column is aligned to the left, numbers to the right. */
export function printTable(headline, head, rows) {
  const lines = [head, ...rows].map((cells) => cells.map(String))
  const widths = head.map((_, column) => Math.max(...lines.map((cells) => cells[column].length)))
  console.log(`\n  ${headline}`)
  for (const cells of lines) {
    console.log(`    ${cells.map((cell, column) => (column === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[column]))).join('   ')}`)
  }
}

const NANOSECONDS = { 'µs': 1e3, ms: 1e6 }

/**
 * Prints times in a unit, with their ratios.
 *
 * @param {string} headline
 * @param {'µs' | 'ms'} unit
 * @param {Partial<import('./lib/measure.js').Comparison>[]} results
 * @param {string} [ratio] the head of the column of ratios
 */
export function printComparison(headline, unit, results, ratio = 'ours ÷ it') {
  const format = (ns) => microseconds((ns * 1e3) / NANOSECONDS[unit])
  const rows = results.map(({ name, ns, low, high, ratio, quiet }) => {
    const quartiles = low === undefined ? '' : `${format(low)}–${format(high)}`
    return [name, format(ns), quartiles, ratio.toFixed(2), quiet?.toFixed(2) ?? '']
  })
  printTable(headline, ['', unit, 'quartiles', ratio, 'when quiet'], rows)
}

/** Formats nanoseconds as microseconds. */
export function microseconds(ns) {
  return (ns / 1000).toFixed(ns < 10_000 ? 2 : 1)
}

/** Writes the results with their circumstances. */
export async function writeResults(folder, name, results) {
  const path = join(folder, `${name}.json`)
  await writeFile(path, `${JSON.stringify({ ...circumstances(), ...results }, null, 2)}\n`)
  console.log(`\n  written to ${path}`)
}

/** Returns machine, date and versions. */
export function circumstances() {
  const [{ model }] = cpus()
  return {
    date: new Date().toISOString().slice(0, 10),
    machine: { processor: model.trim(), processors: cpus().length, system: `${process.platform} ${process.arch}`, load: loadavg()[0] },
    commit: commit(),
    versions: Object.fromEntries(LIBRARIES.map((name) => [name, versionOf(name)])),
  }
}

const LIBRARIES = ['countersign', 'jose', 'fast-jwt', 'jsonwebtoken', 'aws-jwt-verify', 'hono', '@tsndr/cloudflare-worker-jwt']

/** Returns the version of an installed package, even if its exports hide its package.json. */
export function versionOf(name) {
  const require = createRequire(import.meta.url)
  for (const folder of require.resolve.paths(name)) {
    try {
      return JSON.parse(readFileSync(join(folder, name, 'package.json'), 'utf8')).version
    } catch {
      // The next folder up may have it.
    }
  }
  return 'unknown'
}

function commit() {
  try {
    const options = { cwd: fileURLToPath(new URL('.', import.meta.url)), encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }
    return execFileSync('git', ['describe', '--always', '--dirty'], options).trim()
  } catch {
    return 'unknown'
  }
}
