// The types of the installed package, in a project without those of Node.js.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { EXAMPLES } from './example.js'
import { inProject, pack, toolPath } from './project.js'

const SOURCES = new URL('types/', import.meta.url)
const FLAGS = ['--noEmit', '--pretty', 'false', '--strict', '--exactOptionalPropertyTypes', '--target', 'es2022', '--types', '']

const RESOLUTIONS = {
  nodenext: { flags: ['--module', 'nodenext'], usage: ['usage.ts', 'guards.ts', 'usage.cts'] },
  node16: { flags: ['--module', 'node16'], usage: ['usage.ts', 'guards.ts', 'usage.cts'] },
  bundler: { flags: ['--module', 'esnext', '--moduleResolution', 'bundler'], usage: ['usage.ts', 'guards.ts'] },
}

let folder, tarball
const files = {}

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'countersign-tarball-'))
  tarball = (await pack(folder)).tarball
  for (const name of await readdir(SOURCES)) files[name] = await readFile(new URL(name, SOURCES), 'utf8')
})
after(() => rm(folder, { recursive: true }))

for (const [name, { flags, usage }] of Object.entries(RESOLUTIONS)) {
  test(`with the module resolution ${name}, correct programs compile and faulty ones do not`, async () => {
    await inProject({ tarball, files }, async (cwd) => {
      assert.equal(await compile(cwd, [...flags, ...usage]), '')
      const errors = (await compile(cwd, [...flags, 'refused.ts'])).matchAll(/^refused\.ts\((\d+),\d+\): error (TS\d+)/gm)
      assert.deepEqual([...errors].map(([, line, code]) => `${line}: ${code}`), expectedErrors(files['refused.ts']))
    })
  })
}

test('beside express-oauth2-jwt-bearer, which declares req.auth too, both compile', async () => {
  await inProject({ tarball, files }, async (cwd) => {
    const { flags } = RESOLUTIONS.nodenext
    assert.equal(await compile(cwd, [...flags, 'express-oauth2-jwt-bearer.d.ts', 'beside.ts']), '')
    assert.equal(await compile(cwd, [...flags, 'beside.ts', 'express-oauth2-jwt-bearer.d.ts']), '')
  })
})

test('with Fastify and node:http, programs compile', async () => {
  await inProject({ tarball, files, tools: ['fastify', '@types/node'] }, async (cwd) => {
    assert.equal(await compile(cwd, [...RESOLUTIONS.nodenext.flags, '--skipLibCheck', 'servers.ts']), '')
  })
})

test('the example edge-gateway compiles', async () => {
  const workers = `declare module 'cloudflare:workers' { export function waitUntil(promise: Promise<unknown>): void }`
  const fixture = join(EXAMPLES, 'edge-gateway')
  await inProject({ tarball, files: { 'workers.d.ts': workers }, fixture }, async (cwd) => {
    const flags = [...RESOLUTIONS.bundler.flags, '--lib', 'es2022,esnext.typedarrays,dom,dom.iterable']
    assert.equal(await compile(cwd, [...flags, 'workers.d.ts', 'src/index.ts']), '')
  })
})

/** Returns the output of the compiler. */
function compile(cwd, args) {
  return new Promise((resolve) => {
    execFile(process.execPath, [toolPath('typescript/bin/tsc'), ...FLAGS, ...args], { cwd }, (_, stdout, stderr) => resolve(stdout + stderr))
  })
}

function expectedErrors(text) {
  return text.split('\n').flatMap((line, index) => /\/\/ (TS\d+)$/.exec(line)?.[1].replace(/^/, `${index + 1}: `) ?? [])
}
