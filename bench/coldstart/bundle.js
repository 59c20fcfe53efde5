// Bundles by esbuild, as users make them.
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const HERE = fileURLToPath(new URL('.', import.meta.url))

/**
 * Bundles a script of this folder as `outdir/main.js`. The script imports a contestant by the name `contestant`, and finds the
 * task in `TASK`.
 *
 * @param {string} script
 * @param {{ contestant: string, task: object, outdir: string }} setting `contestant`: its file in this folder
 * @param {import('esbuild').BuildOptions} options more options
 */
export async function bundle(script, { contestant, task, outdir }, options) {
  await build({
    entryPoints: { main: join(HERE, script) },
    alias: { contestant: join(HERE, contestant) },
    define: { TASK: JSON.stringify(task) },
    bundle: true,
    minify: true,
    format: 'esm',
    target: 'es2022',
    outdir,
    ...options,
  })
}
