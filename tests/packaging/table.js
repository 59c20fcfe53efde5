// The results of the matrix as a table. The tests print it, and `node tests/packaging/table.js` writes it to the README.
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { writeTable } from '../js/support/section.js'

const RESULTS = new URL('../../target/packaging/results.json', import.meta.url)
const README = new URL('../../pkg/README.md', import.meta.url)

const HEADINGS = ['', 'version', 'the module', 'kernel', 'vectors passed']

/** Stores the results of the last run. */
export async function saveResults(rows) {
  await mkdir(new URL('.', RESULTS), { recursive: true })
  await writeFile(RESULTS, JSON.stringify(rows, undefined, 2))
}

/** Prints the rows in columns. */
export function printTable(rows) {
  const lines = [HEADINGS, ...rows.map(cells)]
  const widths = HEADINGS.map((_, column) => Math.max(...lines.map((line) => line[column].length)))
  for (const line of lines) console.log(`  ${line.map((cell, column) => cell.padEnd(widths[column])).join('  ').trimEnd()}`)
}

const cells = ({ name, version, loads, kernel, vectors }) => [name, version, loads, kernel, String(vectors)]

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const rows = JSON.parse(await readFile(RESULTS, 'utf8'))
  await writeTable(README, 'runtimes', [HEADINGS, ...rows.map(cells)])
}
