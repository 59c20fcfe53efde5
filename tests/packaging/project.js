// Projects like those of users: a folder outside of this checkout, with the package installed from its tarball.
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const HERE = fileURLToPath(new URL('.', import.meta.url))
export const ROOT = join(HERE, '../..')
export const NPM = process.platform === 'win32' ? 'npm.cmd' : 'npm'

/** The files that every project has besides its own. */
const SHARED = {
  'answer.js': join(HERE, 'answer.js'),
  'conformance.js': join(HERE, 'conformance.js'),
  'main.js': join(HERE, 'main.js'),
  'vectors.js': join(HERE, '../js/support/vectors.js'),
}

/**
 * Packs the package like `npm publish`.
 *
 * @param {string} folder for the tarball
 * @returns {Promise<{ tarball: string, files: string[] }>} the path of the tarball, and the paths of the files in it
 */
export async function pack(folder) {
  const { stdout } = await run(NPM, ['pack', '--json', '--pack-destination', folder], { cwd: join(ROOT, 'pkg') })
  const [{ filename, files }] = Object.values(JSON.parse(stdout))
  return { tarball: join(folder, filename), files: files.map(({ path }) => path) }
}

/**
 * Makes a project with the package installed, calls `work` with it, and removes the folder.
 *
 * @template T
 * @param {{ tarball: string, address?: string, files?: Record<string, string>, fixture?: string, type?: 'module' | 'commonjs',
 *   tools?: string[], installed?: string, parent?: string, flags?: string[] }} setting `files`: text by path, `address` is what
 *   `address.js` exports; `fixture`: a folder of more files; `tools`: packages that the project's files import, of this
 *   checkout or of the folder `installed`; `parent`: the folder for the project, by default a temporary one; `flags`: of
 *   `npm install`
 * @param {(folder: string) => Promise<T>} work
 * @returns {Promise<T>}
 */
export async function inProject(setting, work) {
  const { tarball, address, files = {}, fixture, type = 'module', tools = [], installed, parent = tmpdir(), flags = [] } = setting
  await mkdir(parent, { recursive: true })
  const folder = await mkdtemp(join(parent, 'countersign-project-'))
  try {
    if (fixture) await cp(fixture, folder, { recursive: true })
    await write(folder, 'package.json', JSON.stringify({ name: 'a-project', private: true, type }))
    for (const [path, from] of Object.entries(SHARED)) await cp(from, join(folder, path))
    await write(folder, 'address.js', `export const address = ${JSON.stringify(address)}\n`)
    for (const [path, text] of Object.entries(files)) await write(folder, path, text)
    await run(NPM, ['install', '--offline', '--no-audit', '--no-fund', '--ignore-scripts', ...flags, tarball], { cwd: folder })
    for (const tool of tools) await link(folder, tool, installed)
    return await work(folder)
  } finally {
    await rm(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 })
  }
}

/** Returns the text of `main.js` for another entry point of the package. */
export function mainOf(entry) {
  return readFileSync(SHARED['main.js'], 'utf8').replace(`'countersign'`, `'${entry}'`)
}

/** Returns the path of a file in an npm package of this checkout, or of a folder of `install`. */
export function toolPath(path, installed = ROOT) {
  return join(installed, 'node_modules', path)
}

/** Returns the version of such a package. */
export function toolVersion(name, installed) {
  return JSON.parse(readFileSync(toolPath(`${name}/package.json`, installed), 'utf8')).version
}

/**
 * Runs a program to its end.
 *
 * @returns {Promise<{ stdout: string, stderr: string }>}
 * @throws {Error} with all its output, if it fails
 */
export async function run(program, args, options) {
  try {
    return await promisify(execFile)(program, args, { maxBuffer: 64 * 1024 * 1024, ...options })
  } catch (error) {
    throw new Error([error.message, error.stdout, error.stderr].filter(Boolean).join('\n'))
  }
}

async function write(folder, path, text) {
  await mkdir(dirname(join(folder, path)), { recursive: true })
  await writeFile(join(folder, path), text)
}

async function link(folder, tool, installed) {
  const path = join(folder, 'node_modules', tool)
  await mkdir(dirname(path), { recursive: true })
  await symlink(toolPath(tool, installed), path, 'junction')
}
