// The projects of pkg/examples, copied as a user does.
import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { inProject, run, toolPath } from './project.js'

export const EXAMPLES = fileURLToPath(new URL('../../pkg/examples/', import.meta.url))

/**
 * Copies an example and its dependencies into a project, and calls `work` with the folder.
 *
 * @template T
 * @param {{ tarball: string, name: string, tools?: string[], examples?: string }} example `tools`: packages that it imports
 *   besides this one; `examples`: the folder of the example's folder
 * @param {(folder: string) => Promise<T>} work
 * @returns {Promise<T>}
 */
export function inExample({ tarball, name, tools = [], examples = EXAMPLES }, work) {
  return inProject({ tarball, tools }, async (project) => {
    await cp(join(examples, name), project, { recursive: true, filter: (path) => !path.endsWith('package.json') })
    return work(project)
  })
}

/** Bundles the Worker in the folder by Wrangler. Returns the folder of the bundle. */
export async function bundle(cwd) {
  const env = { ...process.env, CLOUDFLARE_CF_FETCH_ENABLED: 'false', WRANGLER_SEND_METRICS: 'false' }
  await run(process.execPath, [toolPath('wrangler/bin/wrangler.js'), 'deploy', '--dry-run', '--outdir', 'out'], { cwd, env })
  return join(cwd, 'out')
}

/** Returns the options by which Miniflare runs a bundle. */
export function workerIn(folder) {
  return {
    cf: false,
    modules: true,
    modulesRoot: folder,
    scriptPath: join(folder, 'index.js'),
    modulesRules: [{ type: 'CompiledWasm', include: ['**/*.wasm'] }],
    compatibilityDate: '2026-04-01',
  }
}
