// The package as it is published, in every runtime and tool that has a runner. Each verifies a token of the running issuer,
// refuses a changed one, and runs all vectors.
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { isSkipped } from '../runtimes/skip.js'
import { install } from './install.js'
import { startJobs } from './jobs.js'
import { pack } from './project.js'
import { printTable, saveResults } from './table.js'
import browsers from './runners/browsers.js'
import bundlers from './runners/bundlers.js'
import edge from './runners/edge.js'
import frameworks from './runners/frameworks.js'
import nitro from './runners/nitro.js'
import nodeBundles from './runners/node-bundles.js'
import scripts from './runners/scripts.js'
import tools from './runners/tools.js'
import withoutWebAssembly from './runners/without-webassembly.js'

const RUNNERS = [...scripts, ...browsers, ...bundlers, ...nodeBundles, ...edge, ...tools, ...withoutWebAssembly, ...frameworks, ...nitro]

/** The number of runners at the same time. Installations and browsers also wait for the disk. */
const CONCURRENCY = 2

let folder, tarball, jobs
const rows = []

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'countersign-tarball-'))
  tarball = (await pack(folder)).tarball
  jobs = await startJobs(CONCURRENCY)
})

after(async () => {
  await jobs?.stop()
  await rm(folder, { recursive: true })
  // A runner that failed or was left out has no row.
  const finished = rows.filter((row) => row !== undefined)
  await saveResults(finished)
  printTable(finished)
})

describe('installed from its tarball, the package conforms', { concurrency: CONCURRENCY }, () => {
  for (const [index, { name, needs = [], tools, run }] of RUNNERS.entries()) {
    test(`in ${name}`, { skip: isSkipped(needs) }, async () => {
      const installed = tools && (await install(tools))
      const pagePort = jobs.pagePorts.pop()
      const { address, result } = jobs.open()
      try {
        // A failure before the result is reported by `run`, a later one by the result.
        const [row, { problems, vectors, kernel }] = await Promise.all([run({ tarball, address, result, pagePort, installed }), result])
        rows[index] = { name, ...row, kernel, vectors: problems.length === 0 ? vectors : 'failed' }
        assert.deepEqual(problems, [])
        assert.equal(vectors, row.vectors ?? jobs.vectors)
        assert.equal(kernel, row.kernel ?? kernel)
      } finally {
        jobs.pagePorts.push(pagePort)
      }
    })
  }
})
