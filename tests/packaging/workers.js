// Runtimes of edge functions, in this process.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { EdgeRuntime } from 'edge-runtime'
import * as esbuild from 'esbuild'
import { Miniflare } from 'miniflare'
import { assertDone } from './servers.js'

/**
 * Requests a path of a Worker, which runs in workerd.
 *
 * @param {{ folder: string, script: string, compatibilityDate: string, compatibilityFlags?: string[] }} worker `folder`: has all
 *   modules of the Worker; `script`: the path of the main one
 * @param {string} path
 */
export async function requestedInWorkerd({ folder, script, ...compatibility }, path) {
  const worker = new Miniflare({
    cf: false,
    modules: true,
    modulesRoot: folder,
    scriptPath: join(folder, script),
    modulesRules: [
      { type: 'CompiledWasm', include: ['**/*.wasm'] },
      { type: 'ESModule', include: ['**/*.js', '**/*.mjs'] },
    ],
    ...compatibility,
  })
  try {
    await assertDone(await worker.dispatchFetch(`http://worker${path}`))
  } finally {
    await worker.dispose()
  }
}

/** Requests a path of the edge function in `function.js`, which runs in the edge runtime of Vercel. */
export async function requestedInEdgeRuntime(folder, path) {
  const { initialCode, modules } = await bundleEdgeFunction(folder)
  const runtime = new EdgeRuntime({ initialCode, extend: (context) => Object.assign(context, modules) })
  await assertDone(await runtime.dispatchFetch(`http://function${path}`))
}

/**
 * Returns the function's script, and the modules that it expects as global variables, as in Next.js and Vercel: compiled
 * ones, and some of Node.js.
 */
async function bundleEdgeFunction(absWorkingDir) {
  const modules = {}
  const provided = {
    name: 'provided modules',
    setup(build) {
      build.onResolve({ filter: /^node:(async_hooks|buffer|events)$/ }, ({ path }) => ({ path, namespace: 'built-in' }))
      build.onLoad({ filter: /./, namespace: 'built-in' }, ({ path }) => {
        const name = path.replace(':', '_')
        modules[name] = process.getBuiltinModule(path)
        return { contents: `module.exports = ${name}` }
      })
      build.onResolve({ filter: /\.wasm\?module$/ }, ({ path, resolveDir }) => {
        return { path: join(resolveDir, path.replace('?module', '')), namespace: 'compiled' }
      })
      build.onLoad({ filter: /./, namespace: 'compiled' }, async ({ path }) => {
        const name = `wasm_${Object.keys(modules).length}`
        modules[name] = await WebAssembly.compile(await readFile(path))
        return { contents: `export default ${name}` }
      })
    },
  }
  const { outputFiles } = await esbuild.build({
    absWorkingDir,
    entryPoints: ['function.js'],
    bundle: true,
    write: false,
    format: 'iife',
    conditions: ['edge-light'],
    plugins: [provided],
  })
  return { initialCode: outputFiles[0].text, modules }
}
