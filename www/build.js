// Writes the site as static files, which any host can serve from any path:
//
//   node www/build.js --out target/site

import { createHash } from 'node:crypto'
import { realpathSync } from 'node:fs'
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { siteFiles } from './site.js'

const WORKER = 'service-worker.js'

/**
 * Writes the site into a folder, in the place of an older one.
 *
 * @param {string} folder
 * @param {{ dist?: URL }} [options] `dist`: the folder of the built npm package; the workspace's own by default
 * @returns {Promise<string[]>} the paths of the files
 * @throws {Error} if the folder holds anything else than a site
 */
export async function buildSite(folder, { dist } = {}) {
  const present = await readdir(folder).catch(() => [])
  if (present.length > 0 && !present.includes(WORKER)) throw new Error(`${folder} holds other files: give an empty folder`)
  const files = new Map()
  for (const [path, make] of await siteFiles({ isDemo: false, dist })) files.set(path, await make())
  files.set(WORKER, workerFor(files))
  await rm(folder, { recursive: true, force: true })
  for (const [path, content] of files) {
    const file = join(folder, path)
    await mkdir(dirname(file), { recursive: true })
    await writeFile(file, content)
  }
  return [...files.keys()]
}

/** Returns the service worker with the list of all other files. A change of any of them changes the worker, and so updates it. */
function workerFor(files) {
  const hash = createHash('sha256')
  const paths = [...files.keys()].filter((path) => path !== WORKER).sort()
  for (const path of paths) hash.update(`${path}\0`).update(files.get(path)).update('\0')
  const version = hash.digest('hex').slice(0, 16)
  return `const VERSION = '${version}'\nconst FILES = ${JSON.stringify(paths, null, 2)}\n\n${files.get(WORKER)}`
}

async function main() {
  const { values } = parseArgs({ options: { out: { type: 'string', default: 'target/site' } } })
  const paths = await buildSite(values.out)
  console.log(`${paths.length} files in ${values.out}`)
}

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  main().catch((error) => {
    console.error(`site: ${error.message}`)
    process.exitCode = 1
  })
}
