// Measures in workerd. The Worker is bundled as an application's would be. Its own clock shows whole milliseconds, and in
// Cloudflare's network it stands still while a script runs. The Worker therefore reads the clock of this process, over a
// connection that stays open.
import { once } from 'node:events'
import { readdir, rm } from 'node:fs/promises'
import { createServer, get } from 'node:http'
import { isBuiltin } from 'node:module'
import { join, resolve } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { versionOf } from './report.js'
import { LIKE_WRANGLER, startWorkerd } from './workerd.js'

/** @param {{ rounds: number, folder: string, kernelFolder: string }} setting `folder` takes the Worker's bundle */
export async function measureInWorkerd({ rounds, folder, kernelFolder }) {
  const outdir = join(folder, 'worker')
  await rm(outdir, { recursive: true, force: true })
  await bundle(kernelFolder, outdir)

  const clock = createServer({ keepAliveTimeout: 0 }, (_, response) => response.end(String(performance.now())))
  clock.listen(0, '127.0.0.1')
  await once(clock, 'listening')
  let worker
  try {
    worker = await startWorkerd(outdir, await workerIn(outdir, clock.address().port))
    const [response] = await once(get(`${worker.url}?rounds=${rounds}`), 'response')
    const answer = await text(response)
    if (response.statusCode !== 200) throw new Error(answer)
    return { runtime: `workerd ${versionOf('workerd')}`, ...JSON.parse(answer) }
  } finally {
    await worker?.close()
    clock.closeAllConnections()
    clock.close()
  }
}

/** Bundles `worker/main.js`. It imports the kernels' modules from `kernels`. */
async function bundle(kernelFolder, outdir) {
  await build({
    ...LIKE_WRANGLER,
    entryPoints: [fileURLToPath(new URL('worker/main.js', import.meta.url))],
    alias: { kernels: resolve(kernelFolder) },
    plugins: [NODE_MODULES],
    bundle: true,
    format: 'esm',
    target: 'es2022',
    outdir,
  })
}

/** Imports the modules of Node.js, which CommonJS requires, by their names with `node:`, as Wrangler does. */
const NODE_MODULES = {
  name: 'modules of Node.js',
  setup(build) {
    build.onResolve({ filter: /^(node:)?[\w/]+$/ }, ({ path, kind }) => {
      if (!isBuiltin(path)) return undefined
      const name = `node:${path.replace('node:', '')}`
      return kind === 'require-call' ? { path: name, namespace: 'required' } : { path: name, external: true }
    })
    build.onLoad({ filter: /./, namespace: 'required' }, ({ path }) => {
      return { contents: `import required from '${path}'; module.exports = required` }
    })
  },
}

/**
 * Returns the Worker of the files in `folder`: the script, and the WebAssembly modules that it imports.
 *
 * @returns {Promise<import('./workerd.js').Worker>}
 */
async function workerIn(folder, port) {
  const compiled = (await readdir(folder)).filter((name) => name.endsWith('.wasm'))
  return {
    modules: ['(name = "main.js", esModule = embed "main.js")', ...compiled.map((name) => `(name = "${name}", wasm = embed "${name}")`)],
    bindings: ['(name = "CLOCK", service = "clock")'],
    services: [`(name = "clock", external = (address = "127.0.0.1:${port}", http = ()))`],
  }
}
