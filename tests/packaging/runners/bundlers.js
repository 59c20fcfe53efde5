// Pages of bundlers with minimal configuration, in Chromium under a strict policy.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { cp, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { nodeResolve } from '@rollup/plugin-node-resolve'
import { importMetaAssets } from '@web/rollup-plugin-import-meta-assets'
import * as esbuild from 'esbuild'
import * as rollup from 'rollup'
import * as vite from 'vite'
import webpack from 'webpack'
import { html, REPORT, served, strictPolicy, untilResult } from '../pages.js'
import { inProject, mainOf } from '../project.js'

const MODULES = 'node_modules/countersign/dist/wasm'

const SCRIPT = '<script defer src="/main.js"></script>'
const MODULE_SCRIPT = '<script type="module" src="/main.js"></script>'

export default [
  {
    name: 'Vite, Chromium',
    needs: ['chromium'],
    async run({ tarball, address, result, pagePort: port }) {
      const files = { 'index.html': html(address, MODULE_SCRIPT), 'public/report.js': REPORT }
      const headers = { 'content-security-policy': await strictPolicy(address) }
      await inProject({ tarball, address, files }, async (root) => {
        await vite.build({ root, configFile: false, logLevel: 'error' })
        await assertModulesOnce(root)
        const server = await vite.preview({ root, configFile: false, preview: { host: '127.0.0.1', port, strictPort: true, headers } })
        try {
          await untilResult('chromium', `http://127.0.0.1:${port}/`, result)
        } finally {
          await server.close()
        }
      })
      return { version: vite.version, loads: 'fetches the file' }
    },
  },
  page({ name: 'webpack, Chromium', version: webpack.version, script: SCRIPT, bundle: bundleWithWebpack }),
  page({ name: 'Rollup, Chromium', version: rollup.VERSION, script: MODULE_SCRIPT, bundle: bundleWithRollup }),
  page({ name: 'esbuild, modules copied, Chromium', version: esbuild.version, script: MODULE_SCRIPT, bundle: bundleWithEsbuild }),
  page({
    name: 'esbuild, countersign/inline, Chromium',
    version: esbuild.version,
    script: SCRIPT,
    bundle: (folder) => runEsbuild(folder, { entryPoints: { main: 'inline.js' }, format: 'iife' }),
    inline: true,
  }),
]

/** @param {{ bundle: (folder: string) => Promise<void> }} setting `bundle` writes `dist/main.js` in the project */
function page({ name, version, script, bundle, inline = false }) {
  return {
    name,
    needs: ['chromium'],
    async run({ tarball, address, result, pagePort: port }) {
      const files = { 'dist/index.html': html(address, script), 'dist/report.js': REPORT, 'inline.js': mainOf('countersign/inline') }
      const policy = await strictPolicy(address)
      await inProject({ tarball, address, files }, async (project) => {
        await bundle(project)
        if (!inline) await assertModulesOnce(project)
        await served({ folder: join(project, 'dist'), port, policy }, (url) => untilResult('chromium', url, result))
      })
      return { version, loads: inline ? 'in the JavaScript' : 'fetches the file' }
    },
  }
}

async function bundleWithWebpack(context) {
  const compiler = webpack({ mode: 'production', context, entry: './main.js', target: 'web', output: { path: join(context, 'dist') } })
  const stats = await promisify(compiler.run.bind(compiler))()
  await promisify(compiler.close.bind(compiler))()
  assert.ok(!stats.hasErrors() && !stats.hasWarnings(), stats.toString())
}

async function bundleWithRollup(folder) {
  const plugins = [nodeResolve({ browser: true }), importMetaAssets()]
  const onLog = (level, { message }) => assert.fail(`${level}: ${message}`)
  const bundle = await rollup.rollup({ input: join(folder, 'main.js'), plugins, onLog })
  await bundle.write({ dir: join(folder, 'dist'), format: 'es' })
  await bundle.close()
}

/** esbuild does not change `new URL('…', import.meta.url)`, so the modules must be beside the bundle. */
async function bundleWithEsbuild(folder) {
  await runEsbuild(folder, { entryPoints: ['main.js'], format: 'esm' })
  for (const name of await wasmIn(join(folder, MODULES))) await cp(join(folder, MODULES, name), join(folder, 'dist/wasm', name))
}

async function runEsbuild(absWorkingDir, options) {
  const { warnings } = await esbuild.build({ absWorkingDir, bundle: true, minify: true, outdir: 'dist', logLevel: 'silent', ...options })
  assert.deepEqual(warnings, [])
}

/** Checks that `dist` has each WebAssembly module exactly once, and nothing of Node.js. */
async function assertModulesOnce(project) {
  assert.deepEqual(await digests(join(project, 'dist')), await digests(join(project, MODULES)))
  const scripts = (await readdir(join(project, 'dist'), { recursive: true })).filter((name) => name.endsWith('.js'))
  for (const name of scripts) assert.doesNotMatch(await readFile(join(project, 'dist', name), 'utf8'), /node:/, name)
}

/** Returns the SHA-256 of each WebAssembly module. A bundler may change its name and folder. */
async function digests(folder) {
  const files = (await wasmIn(folder)).map((name) => readFile(join(folder, name)))
  return (await Promise.all(files)).map((bytes) => createHash('sha256').update(bytes).digest('hex')).sort()
}

async function wasmIn(folder) {
  return (await readdir(folder, { recursive: true })).filter((name) => name.endsWith('.wasm'))
}
