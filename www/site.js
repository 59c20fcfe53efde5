// The files of the site: for the demo's server, which makes each when it is asked for, and for a folder of static files.

import { readdir, readFile } from 'node:fs/promises'
import { extname } from 'node:path'
import { documentPages } from './docs.js'
import { layOut, navigation } from './layout.js'
import { packageFiles, packageImports, resolveImports } from './modules.js'

const PAGE = new URL('page/', import.meta.url)

/** The types of the site's files, by the ends of their names. */
const TYPES = {
  '.css': 'text/css; charset=utf-8',
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.json': 'application/json',
  '.png': 'image/png',
  '.svg': 'image/svg+xml',
  '.wasm': 'application/wasm',
}

/** Files that only the demo's server has, and scripts that only a site of static files has. */
const DEMO_ONLY = /^(account|again)\b/
const OFFLINE_ONLY = ['offline.js', 'service-worker.js']

/** Returns the media type of a file of the site. */
export function typeOf(path) {
  return TYPES[extname(path)] ?? 'application/octet-stream'
}

/** Returns the folder of the built npm package. */
export function builtPackage() {
  return new URL('dist/', import.meta.resolve('countersign/package.json'))
}

/**
 * Lists the files of the site.
 *
 * @param {object} options
 * @param {boolean} options.isDemo true for the pages of the demo's server, false for a site without an issuer
 * @param {URL} [options.dist] the folder of the built npm package; the workspace's own by default
 * @returns {Promise<Map<string, () => Promise<string | Buffer>>>} functions that make the files, by the paths from the root
 * @throws {Error} if the npm package is not built
 */
export async function siteFiles({ isDemo, dist = builtPackage() }) {
  await readFile(new URL('browser.js', dist)).catch(() => {
    throw new Error('the npm package is not built: run `cargo xtask build`')
  })
  const isHere = (path) => extname(path) in TYPES && (isDemo ? !OFFLINE_ONLY.includes(path) : !DEMO_ONLY.test(path))
  const sources = (await readdir(PAGE, { recursive: true })).map((path) => path.replaceAll('\\', '/')).filter(isHere)
  const read = (path) => readFile(new URL(path, PAGE), 'utf8')
  const pages = sources.filter((path) => path.endsWith('.html'))
  const scripts = sources.filter((path) => path.endsWith('.js'))
  const documents = await documentPages()
  const links = navigation(new Set([...pages, ...documents.pages.keys()]))

  const files = new Map()
  for (const path of sources) {
    if (!/\.(html|js)$/.test(path)) files.set(path, () => readFile(new URL(path, PAGE)))
  }
  for (const path of pages) files.set(path, async () => layOut({ path, source: await read(path) }, links, isDemo))
  for (const [path, make] of documents.pages) files.set(path, async () => layOut({ path, source: await make() }, links, isDemo))
  for (const [path, file] of documents.pictures) files.set(path, () => readFile(file))
  for (const path of scripts) files.set(path, async () => resolveImports(path, await read(path)))

  const imported = (await Promise.all(scripts.map(read))).flatMap(packageImports)
  const folders = { countersign: dist, jose: new URL('.', import.meta.resolve('jose')), qr: new URL('.', import.meta.resolve('qr')) }
  for (const [path, file] of await packageFiles(imported, folders)) files.set(path, () => readFile(file))
  // The demo's server answers with the issuer. Elsewhere there is none.
  if (!isDemo) files.set('demo.json', async () => 'null\n')
  return files
}
