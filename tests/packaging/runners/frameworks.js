// Web frameworks. Each project is the smallest one that the framework's documentation describes.
import { join, relative } from 'node:path'
import { freePort } from '../../js/support/issuer.js'
import { programOf } from '../../runtimes/runtimes.js'
import { built, dev, framework } from '../frameworks/rows.js'
import { html, REPORT, reporting, served, untilResult } from '../pages.js'
import { inProject, ROOT, toolVersion } from '../project.js'
import { execute, requested, running } from '../servers.js'

const NEXT = { fixture: 'next', package: 'next', script: 'next/dist/bin/next' }

/** The paths of a route handler, a server component and the proxy. */
const NEXT_PATHS = ['/route', '/component', '/proxy']

// The adapter bundles what is only in devDependencies.
const SVELTEKIT = { fixture: 'sveltekit', tools: 'frameworks', package: '@sveltejs/kit', script: 'vite/bin/vite.js', flags: ['--save-dev'] }

// Without @react-router/node, the build is not for Node.js.
const REACT_ROUTER = {
  fixture: 'react-router',
  tools: 'frameworks',
  package: '@react-router/dev',
  script: '@react-router/dev/bin.cjs',
  dependencies: ['@react-router/node', 'isbot'],
}

const ASTRO = { fixture: 'astro', tools: 'frameworks', package: 'astro', script: 'astro/bin/astro.mjs' }

const TANSTACK = { fixture: 'tanstack', tools: 'frameworks', package: '@tanstack/react-start', script: 'vite/bin/vite.js' }

const ANGULAR = {
  fixture: 'angular',
  files: (address) => ({ 'src/index.html': reporting(html('<base href="/"><app-root></app-root>'), address), 'public/report.js': REPORT }),
  tools: 'frameworks',
  package: '@angular/core',
  script: '@angular/cli/bin/ng.js',
  needs: ['chromium'],
}

const KOA = `
import Koa from 'koa'
import { answer } from './answer.js'

const app = new Koa()
app.use(async (ctx) => {
  ctx.body = await (await answer()).text()
})
app.listen(process.env.PORT, '127.0.0.1')
`

const H3 = `
import { H3, serve } from 'h3'
import { answer } from './answer.js'

serve(new H3().get('/conform', answer), { hostname: '127.0.0.1' })
`

const ELYSIA = `
import { Elysia } from 'elysia'
import { answer } from './answer.js'

new Elysia().get('/conform', answer).listen({ hostname: '127.0.0.1', port: process.env.PORT })
`

export default [
  built({
    ...NEXT,
    name: 'Next.js, standalone',
    moved: '.next/standalone',
    paths: NEXT_PATHS,
    start: ({ project }) => [join(relative(ROOT, project), 'server.js')],
  }),
  dev({ ...NEXT, name: 'Next.js, dev server', host: '--hostname', paths: NEXT_PATHS }),
  framework({ ...NEXT, name: 'Next.js, client component, Chromium', loads: 'fetches the file', needs: ['chromium'] }, async (context) => {
    await execute(context.command('build'))
    await opened(context, context.command('start', '--hostname', '127.0.0.1', '--port', String(context.pagePort)), '/client')
  }),
  built({ ...SVELTEKIT, name: 'SvelteKit, adapter-node', loads: 'in the JavaScript', moved: 'build', start: () => ['index.js'] }),
  dev({ ...SVELTEKIT, name: 'SvelteKit, dev server' }),
  built({
    ...REACT_ROUTER,
    name: 'React Router, all bundled',
    loads: 'in the JavaScript',
    moved: 'build',
    start: ({ path }) => [path('@react-router/serve/bin.cjs'), 'server/index.js'],
  }),
  dev({ ...REACT_ROUTER, name: 'React Router, dev server' }),
  built({ ...ASTRO, name: 'Astro, @astrojs/node', start: () => ['dist/server/entry.mjs'] }),
  dev({ ...ASTRO, name: 'Astro, dev server' }),
  built({
    ...TANSTACK,
    name: 'TanStack Start',
    start: ({ path }) => [path('srvx/bin/srvx.mjs'), '--prod', '--entry', 'dist/server/server.js'],
  }),
  dev({ ...TANSTACK, name: 'TanStack Start, dev server' }),
  framework({ ...ANGULAR, name: 'Angular, Chromium', loads: 'in the JavaScript' }, async ({ command, project, result, pagePort: port }) => {
    await execute(command('build'))
    await served({ folder: join(project, 'dist/page/browser'), port }, (url) => untilResult('chromium', url, result))
  }),
  framework({ ...ANGULAR, name: 'Angular, dev server, Chromium', loads: 'fetches the file' }, (context) =>
    opened(context, context.command('serve', '--host', '127.0.0.1', '--port', String(context.pagePort)), '/'),
  ),
  server({ name: 'Koa', tool: 'koa', text: KOA, runtime: 'node24' }),
  server({ name: 'H3', tool: 'h3', text: H3, runtime: 'node24' }),
  server({ name: 'Elysia, Bun', tool: 'elysia', text: ELYSIA, runtime: 'bun' }),
]

/** Starts a server, and opens a page of it. */
function opened({ pagePort: port, result }, command, path) {
  return running({ ...command, port }, (url) => untilResult('chromium', url + path, result))
}

/** A server of one file. */
function server({ name, tool, text, runtime }) {
  return {
    name,
    async run({ tarball, address }) {
      const { program } = await programOf(runtime)
      const port = await freePort()
      await inProject({ tarball, address, files: { 'server.js': text }, tools: [tool] }, (cwd) =>
        requested({ program, args: ['server.js'], cwd, env: { PORT: String(port) }, port }, '/conform'),
      )
      return { version: toolVersion(tool), loads: 'reads the file' }
    },
  }
}
