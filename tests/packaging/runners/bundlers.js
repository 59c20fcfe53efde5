// Pages of bundlers with minimal configuration, in Chromium under a strict policy.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { cp, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { rspack } from '@rspack/core'
import { nodeResolve } from '@rollup/plugin-node-resolve'
import { importMetaAssets } from '@web/rollup-plugin-import-meta-assets'
import * as esbuild from 'esbuild'
import * as rollup from 'rollup'
import * as vite from 'vite'
import webpack from 'webpack'
import { launchExtension } from '../../runtimes/chromium.js'
import { programOf } from '../../runtimes/runtimes.js'
import { html, REPORT, reporting, served, strictPolicy, untilResult } from '../pages.js'
import { inProject, mainOf, run, toolPath, toolVersion } from '../project.js'

const FOLDER = 'node_modules/countersign/dist/wasm'
/** The files of `FOLDER` that browsers and Node.js load. */
const MODULES = ['countersign.relaxed.wasm', 'countersign.wasm']

const SCRIPT = '<script defer src="/main.js"></script>'
const MODULE_SCRIPT = '<script type="module" src="/main.js"></script>'
const START_SCRIPT = '<script src="/start.js"></script>'

export default [
  page({ name: 'Vite, Chromium', build: buildWithVite }),
  {
    name: 'Vite in development, Chromium',
    needs: ['chromium'],
    async run({ tarball, address, result, pagePort: port }) {
      const files = { 'index.html': reporting(html(MODULE_SCRIPT), address), 'public/report.js': REPORT }
      await inProject({ tarball, address, files }, async (root) => {
        const server = await vite.createServer({ root, configFile: false, logLevel: 'error', server: { host: '127.0.0.1', port, strictPort: true } })
        try {
          await server.listen()
          await untilResult('chromium', `http://127.0.0.1:${port}/`, result)
        } finally {
          await server.close()
        }
      })
      return { version: vite.version, loads: 'fetches the file' }
    },
  },
  page({ name: 'webpack, Chromium', script: SCRIPT, build: (cwd) => buildWithWebpack(webpack, cwd, { target: 'web' }) }),
  page({ name: 'Rspack, Chromium', script: SCRIPT, build: (cwd) => buildWithWebpack(rspack, cwd, { target: 'web' }) }),
  page({ name: 'Rollup, Chromium', script: MODULE_SCRIPT, build: buildWithRollup }),
  page({ name: 'Parcel, Chromium', tools: 'parcel', build: buildWithParcel }),
  page({ name: 'Bun, Chromium', build: buildWithBun, inline: true }),
  page({ name: 'esbuild, modules copied, Chromium', script: MODULE_SCRIPT, build: buildBesideModules }),
  page({
    name: 'esbuild, countersign/inline, Chromium',
    script: SCRIPT,
    build: (cwd) => buildWithEsbuild(cwd, { entryPoints: { main: 'inline.js' }, format: 'iife' }),
    inline: true,
  }),
  worker('Dedicated Worker, Chromium', `new Worker('/main.js', { type: 'module' })`),
  worker('Shared Worker, Chromium', `new SharedWorker('/main.js', { type: 'module' })`),
  worker('Service Worker, Chromium', `navigator.serviceWorker.register('/main.js', { type: 'module' })`),
  {
    name: 'extension (Manifest V3), Chromium',
    needs: ['chromium'],
    run: ({ tarball, address, result }) =>
      inProject({ tarball, address }, async (cwd) => {
        const version = await buildBesideModules(cwd)
        await writeFile(join(cwd, 'dist/manifest.json'), JSON.stringify(MANIFEST))
        const context = await launchExtension(join(cwd, 'dist'))
        try {
          await result
        } finally {
          await context.close()
        }
        return { version, loads: 'fetches the file' }
      }),
  },
]

const MANIFEST = {
  manifest_version: 3,
  name: 'An extension with countersign',
  version: '1',
  background: { service_worker: 'main.js', type: 'module' },
  host_permissions: ['http://127.0.0.1/*'],
  content_security_policy: { extension_pages: "script-src 'self' 'wasm-unsafe-eval'" },
}

/**
 * @param {{ name: string, build: (cwd: string, installed?: string) => Promise<string>, script?: string, inline?: boolean, tools?:
 *   string }} setting `build` writes `dist`, for the page `index.html` or for a page with only `script`, and returns the
 *   version of its tool; `inline`: the module is in the JavaScript
 */
function page({ name, build, script, inline = false, tools }) {
  return {
    name,
    needs: ['chromium'],
    tools,
    async run({ tarball, address, result, pagePort: port, installed }) {
      const files = { 'index.html': html('<script type="module" src="./main.js"></script>'), 'inline.js': mainOf('countersign/inline') }
      const version = await inProject({ tarball, address, files }, async (project) => {
        const folder = join(project, 'dist')
        const version = await build(project, installed)
        assert.deepEqual(await digests(folder, await wasmIn(folder)), inline ? [] : await digests(join(project, FOLDER), MODULES))
        await assertNothingOfNode(folder)
        const built = script === undefined ? await readFile(join(folder, 'index.html'), 'utf8') : html(script)
        const policy = await strictPolicy(address, built)
        await writeFile(join(folder, 'index.html'), reporting(built, address))
        await writeFile(join(folder, 'report.js'), REPORT)
        await served({ folder, port, policy }, (url) => untilResult('chromium', url, result))
        return version
      })
      return { version, loads: inline ? 'in the JavaScript' : 'fetches the file' }
    },
  }
}

/** A page whose script `start` starts a worker. */
function worker(name, start) {
  const build = async (cwd) => {
    const version = await buildBesideModules(cwd)
    await writeFile(join(cwd, 'dist/start.js'), start)
    return version
  }
  return page({ name, script: START_SCRIPT, build })
}

async function buildWithVite(root) {
  await vite.build({ root, configFile: false, logLevel: 'error' })
  return vite.version
}

/** Builds with webpack, or with Rspack, which has the same interface. */
export async function buildWithWebpack(bundler, context, { target, filename = 'main.js' }) {
  const output = { path: join(context, 'dist'), filename }
  const compiler = bundler({ mode: 'production', context, entry: './main.js', target, output })
  const stats = await promisify(compiler.run.bind(compiler))()
  await promisify(compiler.close.bind(compiler))()
  assert.ok(!stats.hasErrors() && !stats.hasWarnings(), stats.toString())
  return bundler.rspackVersion ?? bundler.version
}

async function buildWithRollup(folder) {
  const plugins = [nodeResolve({ browser: true }), importMetaAssets()]
  const onLog = (level, { message }) => assert.fail(`${level}: ${message}`)
  const bundle = await rollup.rollup({ input: join(folder, 'main.js'), plugins, onLog })
  await bundle.write({ dir: join(folder, 'dist'), format: 'es' })
  await bundle.close()
  return rollup.VERSION
}

async function buildWithParcel(cwd, installed) {
  const flags = ['--dist-dir', 'dist', '--no-cache', '--no-source-maps']
  await run(process.execPath, [toolPath('parcel/lib/bin.js', installed), 'build', 'index.html', ...flags], { cwd })
  return toolVersion('parcel', installed)
}

async function buildWithBun(cwd) {
  const { program, version } = await programOf('bun')
  await run(program, ['build', './index.html', '--production', '--outdir', 'dist'], { cwd })
  return version
}

/** Copies the modules too: esbuild does not change `new URL('…', import.meta.url)`, so it must find them beside the bundle. */
export async function buildBesideModules(cwd, options = {}) {
  for (const name of MODULES) await cp(join(cwd, FOLDER, name), join(cwd, 'dist/wasm', name))
  return buildWithEsbuild(cwd, { format: 'esm', ...options })
}

export async function buildWithEsbuild(absWorkingDir, options) {
  const setting = { absWorkingDir, entryPoints: ['main.js'], bundle: true, minify: true, outdir: 'dist', logLevel: 'silent' }
  const { warnings } = await esbuild.build({ ...setting, ...options })
  assert.deepEqual(warnings, [])
  return esbuild.version
}

async function assertNothingOfNode(folder) {
  const scripts = (await readdir(folder, { recursive: true })).filter((name) => name.endsWith('.js'))
  for (const name of scripts) assert.doesNotMatch(await readFile(join(folder, name), 'utf8'), /node:/, name)
}

/** Returns the SHA-256 of each module. A bundler may change its name and folder. */
async function digests(folder, names) {
  const files = names.map((name) => readFile(join(folder, name)))
  return (await Promise.all(files)).map((bytes) => createHash('sha256').update(bytes).digest('hex')).sort()
}

/** Returns the paths of the WebAssembly files in a folder. */
export async function wasmIn(folder) {
  return (await readdir(folder, { recursive: true })).filter((name) => name.endsWith('.wasm'))
}
