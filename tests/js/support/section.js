import { readFile, writeFile } from 'node:fs/promises'

/**
 * Replaces the text between `<!-- name: begin -->` and `<!-- name: end -->` in a Markdown file with a table.
 *
 * @param {URL} file
 * @param {string} name
 * @param {string[][]} rows the headings first
 * @throws {Error} if the file lacks these marks
 */
export async function writeTable(file, name, [headings, ...rows]) {
  const text = await readFile(file, 'utf8')
  const begin = `<!-- ${name}: begin -->\n`
  const start = text.indexOf(begin)
  const end = text.indexOf(`<!-- ${name}: end -->`)
  if (start < 0 || end < start) throw new Error(`${file} has no place for the table "${name}"`)
  const lines = [headings, headings.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |\n`)
  await writeFile(file, `${text.slice(0, start)}${begin}\n${lines.join('')}\n${text.slice(end)}`)
}
