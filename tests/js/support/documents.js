// The Markdown documents of this repository: their blocks of code, headings, tables and links.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createAnchors } from '../../../www/anchors.js'

export const ROOT = fileURLToPath(new URL('../../../', import.meta.url))

/** Folders that are made by commands. */
const MADE = ['.git', 'dist', 'node_modules', 'target', 'pkg/docs']

/** Returns the paths of all documents, from the root. */
export function documents(folder = '') {
  return readdirSync(join(ROOT, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = `${folder}${entry.name}`
    if (entry.isDirectory()) return MADE.includes(entry.name) || MADE.includes(path) ? [] : documents(`${path}/`)
    return entry.name.endsWith('.md') ? [path] : []
  })
}

export function read(path) {
  return readFileSync(join(ROOT, path), 'utf8')
}

/**
 * @typedef {object} Block
 * @property {number} line
 * @property {string} section the heading above it
 * @property {string} language
 * @property {string} text
 * @property {string[]} remarks the texts of `<!-- test: … -->` before it, as in issuer/tests/issuer/document_blocks.rs
 */

/** Returns the blocks of code of a document, in order. @returns {Block[]} */
export function codeBlocks(markdown) {
  const blocks = []
  let section = ''
  let remarks = []
  let open
  for (const [index, line] of markdown.split('\n').entries()) {
    const [, indent, fence, language] = /^( *)(```)?(.*)$/.exec(line)
    if (open !== undefined) {
      if (fence && language === '') {
        blocks.push(open.block)
        open = undefined
      } else {
        open.block.text += `${line.slice(open.indent)}\n`
      }
    } else if (fence) {
      open = { indent: indent.length, block: { line: index + 1, section, language, text: '', remarks } }
      remarks = []
    } else if (line.startsWith('#')) {
      section = line.replace(/^#+ /, '')
    } else {
      const [, remark] = /^ *<!-- test: (.*) -->$/.exec(line) ?? []
      if (remark !== undefined) remarks.push(remark)
    }
  }
  return blocks
}

/** Returns the anchors of the headings. */
export function anchors(markdown) {
  return new Set([...prose(markdown).matchAll(/^#+ (.*)$/gm)].map(([, heading]) => heading).map(createAnchors()))
}

/** Returns the targets of links and pictures. */
export function links(markdown) {
  const text = prose(markdown).replaceAll(/`[^`\n]*`/g, '')
  return [...text.matchAll(/\]\(([^)\s]+)\)|\b(?:src|srcset|href)="([^"]+)"/g)].map(([, link, attribute]) => link ?? attribute)
}

/** Returns the rows of the first table after a heading, the headings of its columns first. */
export function table(markdown, heading) {
  const lines = markdown.split('\n')
  const start = lines.findIndex((line) => /^#+ /.test(line) && line.endsWith(` ${heading}`))
  return tables(lines.slice(start).join('\n'))[0]
}

/** Returns the rows of each table, the headings of its columns first. */
export function tables(markdown) {
  return [...markdown.matchAll(/(?:^\|.*\n)+/gm)].map(([table]) => {
    const rows = table.trimEnd().split('\n').filter((line) => !/^\|[-| :]*$/.test(line))
    return rows.map((line) => line.split('|').slice(1, -1).map((cell) => cell.trim()))
  })
}

/** Leaves out the blocks of code. */
export function prose(markdown) {
  return markdown.replaceAll(/^( *)```.*\n[^]*?^ *```$/gm, '')
}
