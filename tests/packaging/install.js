// Sets of tools that are too large for this checkout's node_modules. Each is a folder beside this file, with a package.json
// and a lock file.
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { cp, mkdir, mkdtemp, readFile, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { NPM, run } from './project.js'

const TARGET = fileURLToPath(new URL('../../target/packaging/', import.meta.url))

const installed = new Map()

/**
 * Installs a set of tools in target/packaging, if it is not there in the versions of the lock file.
 *
 * @param {string} name of the folder
 * @returns {Promise<string>} the path of the folder that has its node_modules
 */
export function install(name) {
  if (!installed.has(name)) installed.set(name, installMissing(name))
  return installed.get(name)
}

async function installMissing(name) {
  const source = fileURLToPath(new URL(`${name}/`, import.meta.url))
  const lock = await readFile(join(source, 'package-lock.json'))
  const folder = join(TARGET, `${name}-${createHash('sha256').update(lock).digest('hex').slice(0, 12)}`)
  if (existsSync(folder)) return folder
  await mkdir(TARGET, { recursive: true })
  // The folder gets its name at the end, so an interrupted installation is not taken for a whole one.
  const partial = await mkdtemp(`${folder}-partial-`)
  for (const file of ['package.json', 'package-lock.json']) await cp(join(source, file), join(partial, file))
  // Vite sets NODE_ENV=production in this process, with which npm leaves out devDependencies.
  await run(NPM, ['ci', '--include=dev', '--ignore-scripts', '--no-audit', '--no-fund'], { cwd: partial })
  await rename(partial, folder)
  return folder
}
