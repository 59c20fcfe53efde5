// `countersign/status` of the package as it is published, in each runtime that runs a script, and in each browser: every vector of
// a status list.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { cp, mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { json } from 'node:stream/consumers'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import * as esbuild from 'esbuild'
import { BROWSERS, openPage } from '../runtimes/browsers.js'
import { programOf } from '../runtimes/runtimes.js'
import { isSkipped } from '../runtimes/skip.js'
import { inProject, pack, run } from './project.js'

const RUNNER = fileURLToPath(new URL('../js/support/status-vectors.js', import.meta.url))
const VECTORS = fileURLToPath(new URL('../status_lists.json', import.meta.url))

let folder, tarball

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'countersign-tarball-'))
  tarball = (await pack(folder)).tarball
})
after(() => rm(folder, { recursive: true }))

/** A program that calls `send` with the disagreements as JSON: a function as text. */
function program(entry, send = 'console.log') {
  return `
import * as countersign from '${entry}'
import { statusList } from 'countersign/status'
import { runStatusVectors } from './status-vectors.js'
import vectors from './status_lists.js'

const send = ${send}
await send(JSON.stringify(await runStatusVectors({ ...countersign, statusList }, vectors)))
`
}

const REQUIRE = `
const countersign = require('countersign')
const { statusList } = require('countersign/status')
import('./status-vectors.js').then(async ({ runStatusVectors }) => {
  const { default: vectors } = await import('./status_lists.js')
  console.log(JSON.stringify(await runStatusVectors({ ...countersign, statusList }, vectors)))
})
`

/** Makes a project with the package, the runner and the vectors, and calls `work` with its folder. */
async function withVectors(files, tools, work) {
  const vectors = `export default ${await readFile(VECTORS, 'utf8')}`
  return inProject({ tarball, tools, files: { ...files, 'status_lists.js': vectors } }, async (project) => {
    await cp(RUNNER, join(project, 'status-vectors.js'))
    return work(project)
  })
}

const deno = ['run', '--node-modules-dir=manual', '--no-prompt', '--allow-net']
const scripts = [
  ['Node.js 20, import', 'node20', 'main.js', 'countersign'],
  ['Node.js 20, require()', 'node20', 'main.cjs'],
  ['Node.js 24, import', 'node24', 'main.js', 'countersign'],
  ['Node.js 24, require()', 'node24', 'main.cjs'],
  ['Node.js, countersign/inline', 'node', 'main.js', 'countersign/inline'],
  ['Node.js, countersign/js', 'node', 'main.js', 'countersign/js'],
  ['Bun', 'bun', 'main.js', 'countersign'],
  ['Deno', 'deno', 'main.js', 'countersign', deno],
]
for (const [name, runtime, file, entry, flags = []] of scripts) {
  test(`every status list has its verdict in ${name}`, async () => {
    const { program: binary } = await programOf(runtime)
    const files = { [file]: entry === undefined ? REQUIRE : program(entry) }
    const { stdout } = await withVectors(files, [], (cwd) => run(binary, [...flags, file], { cwd }))
    assert.deepEqual(JSON.parse(stdout), [])
  })
}

for (const name of BROWSERS) {
  test(`every status list has its verdict in ${name}, in a bundle`, { skip: isSkipped([name]), timeout: 120_000 }, async (t) => {
    const { url, result, failed, close } = await serve(await bundle())
    t.after(close)
    const browser = await openPage(name, url, failed)
    t.after(() => browser.close())
    assert.deepEqual(await result, [])
  })
}

/** Returns the scripts of a page that sends the disagreements to `/result`, by path. */
async function bundle() {
  const main = program('countersign', "(body) => fetch('/result', { method: 'POST', body })")
  return withVectors({ 'main.js': main }, [], async (cwd) => {
    const { outputFiles } = await esbuild.build({
      absWorkingDir: cwd, entryPoints: ['main.js'], bundle: true, splitting: true, format: 'esm', outdir: 'out', write: false,
    })
    return Object.fromEntries(outputFiles.map(({ path, contents }) => [path.replace(/.*[/\\]/, '/'), contents]))
  })
}

/** Serves a page with these scripts. `result` resolves to the value that the page sends, or rejects after `failed`. */
async function serve(scripts) {
  let settle, failed
  const result = new Promise((resolve, reject) => ([settle, failed] = [resolve, reject]))
  const server = createServer(async (request, response) => {
    const { url } = request
    if (url === '/result') settle(await json(request))
    if (scripts[url] !== undefined) return void response.writeHead(200, { 'content-type': 'text/javascript' }).end(scripts[url])
    const isPage = url === '/'
    response.writeHead(isPage ? 200 : 404, { 'content-type': 'text/html' }).end(isPage ? '<script type="module" src="/main.js"></script>' : '')
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const close = () => {
    server.close()
    server.closeAllConnections()
  }
  return { url: `http://127.0.0.1:${server.address().port}/`, result, failed, close }
}
