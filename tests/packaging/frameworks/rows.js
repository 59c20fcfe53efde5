// Rows of the matrix that are projects with a framework, in Node.js 24.
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { freePort } from '../../js/support/issuer.js'
import { programOf } from '../../runtimes/runtimes.js'
import { inProject, ROOT, toolPath, toolVersion } from '../project.js'
import { execute, requested } from '../servers.js'

/** A folder without packages of its own, for projects that use those of this checkout. */
const IN_CHECKOUT = join(ROOT, 'target/packaging/checkout')

/**
 * A server that is built and started.
 *
 * @param {object} row see `framework`
 * @param {string} [row.moved] the folder of the build, if the server needs nothing else: it is moved away from the project
 * @param {(context: Context) => string[]} row.start returns the arguments of Node.js that start the server
 * @param {string[]} [row.paths] to request
 */
export function built({ moved, start, paths = ['/conform'], ...row }) {
  return framework(row, async (context) => {
    const { command, project } = context
    await execute(command('build'))
    const { program } = command()
    const args = start(context)
    const cwd = moved === undefined ? project : await moveAway(project, moved)
    const port = await freePort()
    const env = { PORT: String(port), HOST: '127.0.0.1', HOSTNAME: '127.0.0.1' }
    try {
      await requested({ program, args, cwd, env, port }, ...paths)
    } finally {
      await rm(cwd, { recursive: true, force: true })
    }
  })
}

/** The framework's dev server. `host` is the name of the flag for its address. */
export function dev({ host = '--host', paths = ['/conform'], ...row }) {
  return framework(row, async ({ command }) => {
    const port = await freePort()
    await requested({ ...command('dev', host, '127.0.0.1', '--port', String(port)), port }, ...paths)
  })
}

/**
 * A project with a framework. Its folder is below the one that has the framework.
 *
 * @param {object} row
 * @param {string} row.name
 * @param {string[]} [row.needs] browsers
 * @param {string} row.fixture the folder of the project's files, beside this file
 * @param {(address: string) => Record<string, string>} [row.files] returns more files
 * @param {string} [row.tools] the set of tools that has the framework, if it is none of this checkout's packages
 * @param {string} row.package the framework's package, whose version is the row's
 * @param {string} row.script the path of its command
 * @param {string[]} [row.flags] for the installation of the package
 * @param {string[]} [row.dependencies] packages that the framework expects in `package.json`
 * @param {string} [row.loads]
 * @param {(context: Context) => Promise<void>} work
 *
 * @typedef {object} Context
 * @property {(...args: string[]) => { program: string, args: string[], cwd: string }} command returns the framework's command
 *   with these arguments
 * @property {(path: string) => string} path returns the path of a file in one of the packages
 * @property {string} project the folder
 * @property {Promise<object>} result of the run
 * @property {number} pagePort
 */
export function framework(row, work) {
  const { name, needs, fixture, files, tools, script, flags, dependencies = [], loads = 'reads the file' } = row
  return {
    name,
    needs,
    tools,
    async run({ tarball, address, result, pagePort, installed }) {
      const { program } = await programOf('node24')
      const setting = {
        tarball,
        address,
        files: files?.(address),
        fixture: fileURLToPath(new URL(fixture, import.meta.url)),
        parent: join(installed ?? IN_CHECKOUT, 'projects'),
        flags,
      }
      await inProject(setting, async (project) => {
        await declare(project, dependencies, installed)
        const path = (file) => toolPath(file, installed)
        const command = (...args) => ({ program, args: [path(script), ...args], cwd: project })
        await work({ command, path, project, result, pagePort })
      })
      return { version: toolVersion(row.package, installed), loads }
    },
  }
}

/** Adds packages to a project's `package.json`, as if they were installed in it. */
async function declare(project, names, installed) {
  const path = join(project, 'package.json')
  const manifest = JSON.parse(await readFile(path, 'utf8'))
  const versions = Object.fromEntries(names.map((name) => [name, toolVersion(name, installed)]))
  manifest.dependencies = { ...manifest.dependencies, ...versions }
  await writeFile(path, JSON.stringify(manifest))
}

/** Moves a folder out of the project and of this checkout, and removes the project. */
async function moveAway(project, folder) {
  const away = await mkdtemp(join(tmpdir(), 'countersign-deployed-'))
  await cp(join(project, folder), away, { recursive: true, verbatimSymlinks: true })
  await rm(project, { recursive: true })
  return away
}
