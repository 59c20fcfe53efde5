// Bundles and single executables for Node.js, Bun and Deno. Each must work without its project, started from another folder.
import assert from 'node:assert/strict'
import { readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { rspack } from '@rspack/core'
import { rolldown, VERSION as ROLLDOWN } from 'rolldown'
import * as vite from 'vite'
import webpack from 'webpack'
import { commandOf, programOf } from '../../runtimes/runtimes.js'
import { inProject, mainOf, run, toolPath, toolVersion } from '../project.js'
import { buildBesideModules, buildWithEsbuild, buildWithWebpack, wasmIn } from './bundlers.js'
import { DENO } from './scripts.js'

const REQUIRE = `
const countersign = require('countersign')
const { address } = require('./address.js')
const { conform } = require('./conformance.js')

conform(countersign, address)
`

const VITE_DEV = `
import { createServer } from 'vite'

const server = await createServer({ configFile: false, ssr: { noExternal: true }, server: { middlewareMode: true, ws: false } })
const { done } = await server.ssrLoadModule('/main.js')
await done
await server.close()
`

const NODE = { target: 'node', filename: 'main.cjs' }

const FILES = { 'require.js': REQUIRE, 'inline.js': mainOf('countersign/inline'), 'main-deno.js': DENO }

export default [
  bundle({ name: 'ncc, Node.js', file: 'index.js', build: buildWithNcc }),
  bundle({ name: 'Rolldown, Node.js', build: buildWithRolldown }),
  bundle({ name: 'webpack, Node.js', file: 'main.cjs', build: (cwd) => buildWithWebpack(webpack, cwd, NODE) }),
  bundle({ name: 'Rspack, Node.js', file: 'main.cjs', build: (cwd) => buildWithWebpack(rspack, cwd, NODE) }),
  bundle({ name: 'esbuild, ES module, Node.js', build: (cwd) => buildForNode(cwd, { format: 'esm' }) }),
  bundle({ name: 'esbuild, ES module in chunks, Node.js', build: (cwd) => buildForNode(cwd, { format: 'esm', splitting: true }) }),
  bundle({ name: 'esbuild, modules copied, Node.js', build: (cwd) => buildBesideModules(cwd, { platform: 'node' }) }),
  bundle({ name: 'esbuild, CommonJS, Node.js', file: 'main.cjs', build: (cwd) => buildCommonJs(cwd, 'main.js') }),
  bundle({ name: 'esbuild, require(), Node.js', file: 'main.cjs', build: (cwd) => buildCommonJs(cwd, 'require.js') }),
  bundle({ name: 'esbuild, countersign/inline, Node.js', file: 'main.cjs', build: (cwd) => buildCommonJs(cwd, 'inline.js') }),
  bundle({ name: 'Vite SSR with noExternal, Node.js', build: buildWithVite }),
  {
    name: 'Vite SSR with noExternal in development, Node.js',
    async run({ tarball, address }) {
      await inProject({ tarball, address, files: { 'dev.js': VITE_DEV }, tools: ['vite'] }, (cwd) => run(process.execPath, ['dev.js'], { cwd }))
      return { version: vite.version, loads: 'reads the file' }
    },
  },
  bundle({ name: 'Node.js single executable', file: 'main', executable: true, build: buildExecutable }),
  bundle({ name: 'Bun for Node.js', build: (cwd) => buildWithBun(cwd, ['--target', 'node', '--outdir', 'dist']) }),
  bundle({ name: 'Bun for Bun', runtime: 'bun', kernel: 'wide', build: (cwd) => buildWithBun(cwd, ['--target', 'bun', '--outdir', 'dist']) }),
  bundle({ name: 'Bun single executable', file: 'main', executable: true, kernel: 'wide', build: (cwd) => buildWithBun(cwd, ['--compile', '--outfile', 'dist/main']) }),
  bundle({ name: 'deno bundle', runtime: 'deno', build: buildWithDeno }),
]

/**
 * @param {{ name: string, build: (cwd: string) => Promise<string>, file?: string, runtime?: string, executable?: boolean,
 *   kernel?: string }} setting `build` writes `file` and the files that it needs into the folder `dist`, and returns the version
 *   of its tool; `runtime` is one of `RUNTIMES`; `kernel` is the one that must be in use
 */
function bundle({ name, build, file = 'main.js', runtime = 'node', executable = false, kernel }) {
  return {
    name,
    run: ({ tarball, address }) =>
      inProject({ tarball, address, files: FILES }, async (cwd) => {
        const version = await build(cwd)
        for (const entry of await readdir(cwd)) if (!['dist', 'package.json'].includes(entry)) await rm(join(cwd, entry), { recursive: true })
        const dist = join(cwd, 'dist')
        const [program, ...args] = executable ? [join(dist, file)] : [...(await commandOf(runtime)), join(dist, file)]
        await run(program, args, { cwd: tmpdir() })
        const copied = (await wasmIn(dist)).length > 0
        return { version, kernel, loads: executable ? 'in the program' : copied ? 'reads the file' : 'in the JavaScript' }
      }),
  }
}

async function buildWithNcc(cwd) {
  await run(process.execPath, [toolPath('@vercel/ncc/dist/ncc/cli.js'), 'build', 'main.js', '--out', 'dist'], { cwd })
  return toolVersion('@vercel/ncc')
}

async function buildWithRolldown(cwd) {
  const onLog = (level, { message }) => assert.fail(`${level}: ${message}`)
  const build = await rolldown({ cwd, input: 'main.js', platform: 'node', onLog })
  await build.write({ dir: join(cwd, 'dist'), format: 'esm' })
  await build.close()
  return ROLLDOWN
}

function buildForNode(cwd, options) {
  return buildWithEsbuild(cwd, { platform: 'node', ...options })
}

function buildCommonJs(cwd, entry) {
  return buildForNode(cwd, { entryPoints: { main: entry }, format: 'cjs', outExtension: { '.js': '.cjs' } })
}

async function buildWithVite(root) {
  await vite.build({ root, configFile: false, logLevel: 'error', build: { ssr: 'main.js' }, ssr: { noExternal: true } })
  return vite.version
}

/** Only Node.js 26 makes the program without another tool. */
async function buildExecutable(cwd) {
  const { program, version } = await programOf('node26')
  await buildCommonJs(cwd, 'main.js')
  await writeFile(join(cwd, 'sea.json'), JSON.stringify({ main: 'dist/main.cjs', output: 'dist/main', disableExperimentalSEAWarning: true }))
  await run(program, ['--build-sea', 'sea.json'], { cwd })
  await rm(join(cwd, 'dist/main.cjs'))
  return version
}

async function buildWithBun(cwd, flags) {
  const { program, version } = await programOf('bun')
  await run(program, ['build', 'main.js', ...flags], { cwd })
  return version
}

async function buildWithDeno(cwd) {
  const { program, version } = await programOf('deno')
  await run(program, ['bundle', '--node-modules-dir=manual', '--output', 'dist/main.js', 'main-deno.js'], { cwd })
  return version
}
