// The modules of npm packages that pages import by name: their paths in the site, and their files.
//
// Browsers can look up bare names only by import maps, which a strict Content-Security-Policy blocks unless it has the hash of
// each. So the names are replaced by paths when a module is served or built.

import { readFile } from 'node:fs/promises'
import { posix } from 'node:path'

/** `from 'name/entry'` and `import('name/entry')` of a package in `PACKAGES`. An entry is any module of it, public or not. */
const IMPORT = /\b(from |import ?\(?)'(countersign|jose|qr)(?:\/([a-z/-]+))?'/g

/** Relative paths in a module of a package: of other modules, and of WebAssembly. */
const RELATIVE = /\b(?:from|import|URL) ?\(?["'](\.{1,2}\/[^"']+)["']/g

const PACKAGES = {
  countersign: (entry = 'browser') => `countersign/${entry}.js`,
  jose: () => 'jose/index.js',
  qr: () => 'qr/index.js',
}

/** Returns the source of a page's module with its imports of packages resolved to relative paths. */
export function resolveImports(path, source) {
  return source.replaceAll(IMPORT, (_, statement, name, entry) => `${statement}'${relative(path, PACKAGES[name](entry))}'`)
}

/** Returns the paths of the packages' modules that this source imports. */
export function packageImports(source) {
  return [...source.matchAll(IMPORT)].map(([, , name, entry]) => PACKAGES[name](entry))
}

/**
 * Returns the files of packages that these modules need, by their paths in the site: the modules, all that those import, and
 * their WebAssembly.
 *
 * @param {Iterable<string>} entries paths such as `countersign/browser.js`
 * @param {Record<string, URL>} folders the folder of each package's modules, by its name
 * @returns {Promise<Map<string, URL>>}
 */
export async function packageFiles(entries, folders) {
  const found = new Map()
  const pending = [...entries]
  while (pending.length > 0) {
    const path = pending.pop()
    if (found.has(path)) continue
    const [name, ...rest] = path.split('/')
    const file = new URL(rest.join('/'), folders[name])
    found.set(path, file)
    if (!path.endsWith('.js')) continue
    const source = await readFile(file, 'utf8')
    for (const [, target] of source.matchAll(RELATIVE)) pending.push(posix.join(posix.dirname(path), target))
  }
  return found
}

function relative(from, to) {
  const path = posix.relative(posix.dirname(from), to)
  return path.startsWith('.') ? path : `./${path}`
}
