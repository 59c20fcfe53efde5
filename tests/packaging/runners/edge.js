// Runtimes of edge functions, which import the compiled module and may not compile bytes: workerd, and the edge runtime of
// Vercel, alone and in Next.js.
import { writeFile } from 'node:fs/promises'
import { join, parse } from 'node:path'
import * as esbuild from 'esbuild'
import workerd from 'workerd'
import { inProject, toolPath, toolVersion } from '../project.js'
import { execute, requested } from '../servers.js'
import { requestedInEdgeRuntime, requestedInWorkerd } from '../workers.js'

const COMPATIBILITY_DATE = '2024-09-23'

const IMPORTS = `
import * as countersign from 'countersign'
import { address } from './address.js'
import { conform } from './conformance.js'

async function answer() {
  await conform(countersign, address)
  return new Response('done')
}
`

const WORKER = `${IMPORTS}\nexport default { fetch: answer }\n`
const EDGE_FUNCTION = `${IMPORTS}\naddEventListener('fetch', (event) => event.respondWith(answer()))\n`

/** The routes are two folders deep. */
const NEXT_IMPORTS = IMPORTS.replaceAll(`'./`, `'../../`)

export default [
  {
    name: 'workerd, bundled by Wrangler',
    run: ({ tarball, address }) =>
      inProject({ tarball, address, files: { 'worker.js': WORKER } }, async (cwd) => {
        const flags = ['--name', 'a-worker', '--compatibility-date', COMPATIBILITY_DATE, '--outdir', 'dist']
        await runTool('wrangler/bin/wrangler.js', ['deploy', 'worker.js', '--dry-run', ...flags], cwd)
        const worker = { folder: join(cwd, 'dist'), script: 'worker.js', compatibilityDate: COMPATIBILITY_DATE }
        await requestedInWorkerd(worker, '/')
        return { version: workerd.version, loads: 'imports it compiled' }
      }),
  },
  {
    name: 'workerd, plain modules',
    run: ({ tarball, address }) =>
      inProject({ tarball, address, files: { 'worker.js': WORKER } }, async (cwd) => {
        await writeFile(join(cwd, 'worker.capnp'), await workerdConfig(cwd))
        await requested({ program: workerd.default, args: ['serve', 'worker.capnp', '--control-fd=3'], cwd }, '/')
        return { version: workerd.version, loads: 'imports it compiled' }
      }),
  },
  {
    name: 'Vercel edge-runtime, bundled by esbuild',
    run: ({ tarball, address }) =>
      inProject({ tarball, address, files: { 'function.js': EDGE_FUNCTION } }, async (cwd) => {
        await requestedInEdgeRuntime(cwd, '/')
        return { version: toolVersion('edge-runtime'), loads: 'imports it compiled' }
      }),
  },
  next({
    name: 'Next.js edge route, Turbopack',
    file: 'app/conform/route.js',
    text: `${NEXT_IMPORTS}\nexport const runtime = 'edge'\nexport const GET = answer\n`,
    path: '/conform',
    flags: [],
  }),
  // This version fails on every edge route of the App Router, even on an empty one.
  next({
    name: 'Next.js edge API route, webpack',
    file: 'pages/api/conform.js',
    text: `${NEXT_IMPORTS}\nexport const config = { runtime: 'edge' }\nexport default answer\n`,
    path: '/api/conform',
    flags: ['--webpack'],
  }),
]

function next({ name, file, text, path, flags }) {
  const bin = 'next/dist/bin/next'
  return {
    name,
    async run({ tarball, address }) {
      const files = { [file]: text, 'next.config.js': nextConfig() }
      await inProject({ tarball, address, files, tools: ['next', 'react', 'react-dom'] }, async (cwd) => {
        await runTool(bin, ['build', ...flags], cwd)
        const args = [toolPath(bin), 'start', '--port', '0', '--hostname', '127.0.0.1']
        await requested({ program: process.execPath, args, cwd }, path)
      })
      return { version: toolVersion('next'), loads: 'imports it compiled' }
    },
  }
}

/** Turbopack reads no files outside of its root, and the project links Next.js to this checkout. */
function nextConfig() {
  return `export default { turbopack: { root: ${JSON.stringify(parse(toolPath('next')).root)} } }\n`
}

/** Returns all modules that the Worker imports, found by esbuild, under their paths, and the package under its name. */
async function workerdConfig(absWorkingDir) {
  const { metafile } = await esbuild.build({
    absWorkingDir,
    entryPoints: ['worker.js'],
    bundle: true,
    write: false,
    metafile: true,
    format: 'esm',
    conditions: ['workerd'],
    loader: { '.wasm': 'empty' },
  })
  const { path: entry } = metafile.inputs['worker.js'].imports.find(({ original }) => original === 'countersign')
  const paths = ['worker.js', ...Object.keys(metafile.inputs).filter((path) => path !== 'worker.js')]
  const modules = paths.map((path) => `(name = "${path}", ${path.endsWith('.wasm') ? 'wasm' : 'esModule'} = embed "${path}")`)
  modules.push(`(name = "countersign", esModule = "export * from './${entry}'")`)
  return `
using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "main", worker = .worker),
    (name = "internet", network = (allow = ["private"])),
  ],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
);

const worker :Workerd.Worker = (
  compatibilityDate = "${COMPATIBILITY_DATE}",
  modules = [
    ${modules.join(',\n    ')},
  ],
);
`
}

function runTool(path, args, cwd) {
  return execute({ program: process.execPath, args: [toolPath(path), ...args], cwd })
}
