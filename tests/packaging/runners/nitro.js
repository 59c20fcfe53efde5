// Nitro, alone and in Nuxt, with presets for Node.js and for edge functions.
import { join } from 'node:path'
import { freePort } from '../../js/support/issuer.js'
import { programOf } from '../../runtimes/runtimes.js'
import { built, dev, framework } from '../frameworks/rows.js'
import { execute, requested } from '../servers.js'
import { requestedInEdgeRuntime, requestedInWorkerd } from '../workers.js'

const NUXT = { fixture: 'nuxt', tools: 'frameworks', package: 'nuxt', script: 'nuxt/bin/nuxt.mjs' }

const NITRO = { fixture: 'nitro', tools: 'frameworks', package: 'nitropack', script: 'nitropack/dist/cli/index.mjs' }

const IN_DENO = {
  loads: 'in the JavaScript',
  files: () => ({
    'serve.js': `
import handler from './.netlify/edge-functions/server/server.js'

Deno.serve({ hostname: '127.0.0.1', port: Number(Deno.env.get('PORT')) }, (request) => handler(request, {}))
`,
  }),
}

const IN_EDGE_RUNTIME = {
  loads: 'in the JavaScript',
  files: () => ({
    'function.js': `
import handler from './.vercel/output/functions/__fallback.func/index.mjs'

addEventListener('fetch', (event) => event.respondWith(handler(event.request, event)))
`,
  }),
}

export default [
  built({ ...NUXT, name: 'Nuxt, node-server', moved: '.output', start: () => ['server/index.mjs'] }),
  dev({ ...NUXT, name: 'Nuxt, dev server' }),
  preset({ ...NUXT, name: 'Nuxt, cloudflare_module, workerd', preset: 'cloudflare_module' }, (project) =>
    inWorkerd(join(project, '.output/server'), 'index.mjs'),
  ),
  preset({ ...NITRO, name: 'Nitro, cloudflare_pages, workerd', preset: 'cloudflare_pages' }, (project) =>
    inWorkerd(join(project, 'dist/_worker.js'), 'index.js'),
  ),
  preset({ ...NITRO, ...IN_DENO, name: 'Nitro, netlify_edge, Deno', preset: 'netlify_edge' }, requestedInDeno),
  preset({ ...NITRO, ...IN_EDGE_RUNTIME, name: 'Nitro, vercel_edge, edge-runtime', preset: 'vercel_edge' }, (project) =>
    requestedInEdgeRuntime(project, '/conform'),
  ),
]

function preset({ preset, ...row }, work) {
  return framework({ loads: 'imports it compiled', ...row }, async ({ command, project }) => {
    await execute({ ...command('build'), env: { NITRO_PRESET: preset } })
    await work(project)
  })
}

function inWorkerd(folder, script) {
  return requestedInWorkerd({ folder, script, compatibilityDate: '2026-04-01', compatibilityFlags: ['nodejs_compat'] }, '/conform')
}

async function requestedInDeno(cwd) {
  const { program } = await programOf('deno')
  const port = await freePort()
  const args = ['run', '--no-config', '--no-prompt', '--allow-net', '--allow-env', 'serve.js']
  await requested({ program, args, cwd, env: { PORT: String(port) }, port }, '/conform')
}
