// Runtimes for scripts, installed in exact versions from npm, each into a folder of its own.
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const PINNED = JSON.parse(readFileSync(new URL('runtimes.json', import.meta.url), 'utf8'))
const FOLDER = fileURLToPath(new URL('../../target/runtimes/', import.meta.url))

/** The names of the runtimes. `node` is the one that runs this file. */
export const RUNTIMES = ['node', ...Object.keys(PINNED)]

/** Returns true if a pinned runtime has the version of the running one, so that one measurement is enough. */
export function isThisNode(name) {
  return name.startsWith('node') && PINNED[name]?.version === process.versions.node
}

/**
 * Returns the command that runs a script in a runtime. Installs the runtime if it is missing.
 *
 * @param {string} name one of `RUNTIMES`
 * @returns {Promise<string[]>} program and first arguments
 * @throws {Error} if there is no such package for this machine, or no connection
 */
export async function commandOf(name) {
  const { program } = await programOf(name)
  return [program, ...(PINNED[name]?.arguments ?? [])]
}

/** Returns a runtime's program and version. */
export async function programOf(name) {
  if (name === 'node') return { program: process.execPath, version: process.versions.node }
  const { package: template, version, binary } = PINNED[name]
  const packageName = packageFor(template)
  const prefix = join(FOLDER, `${name}-${version}`)
  const program = join(prefix, 'node_modules', packageName, binary)
  if (!existsSync(program)) {
    await mkdir(prefix, { recursive: true })
    const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm'
    const flags = ['--prefix', prefix, '--no-save', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error']
    execFileSync(npm, ['install', ...flags, `${packageName}@${version}`], { stdio: ['ignore', 'ignore', 'pipe'] })
  }
  return { program, version }
}

function packageFor(template) {
  const bun = template.startsWith('@oven/')
  const os = process.platform === 'win32' ? (bun ? 'windows' : 'win32') : process.platform
  const cpu = bun && process.arch === 'arm64' ? 'aarch64' : process.arch
  const libc = process.platform === 'linux' ? '-glibc' : ''
  return template.replace('{os}', os).replace('{cpu}', cpu).replace('{libc}', libc)
}
