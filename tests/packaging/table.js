// The results of the matrix as a table: printed by the tests, and by `node tests/packaging/table.js` kept in the README.
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'

const RESULTS = new URL('../../target/packaging/results.json', import.meta.url)
const README = new URL('../../pkg/README.md', import.meta.url)
const BEGIN = '<!-- results of tests/packaging: begin -->\n'
const END = '<!-- results of tests/packaging: end -->\n'

const HEADINGS = ['', 'version', 'the module', 'relaxed kernel', 'vectors passed']

/** Keeps what the last run found. */
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

const cells = ({ name, version, loads, relaxed, vectors }) => [name, version, loads, relaxed ? 'yes' : 'no', String(vectors)]

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const rows = JSON.parse(await readFile(RESULTS, 'utf8'))
  const lines = [HEADINGS, HEADINGS.map(() => '---'), ...rows.map(cells)].map((line) => `| ${line.join(' | ')} |\n`)
  const readme = await readFile(README, 'utf8')
  const [start, end] = [readme.indexOf(BEGIN) + BEGIN.length, readme.indexOf(END)]
  if (start < BEGIN.length || end < start) throw new Error(`pkg/README.md has no place for the table: ${BEGIN}${END}`)
  await writeFile(README, readme.slice(0, start) + lines.join('') + readme.slice(end))
}
