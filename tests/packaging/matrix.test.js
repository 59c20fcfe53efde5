// The package as it is published, in every runtime and tool that has a runner. Each verifies a token of the running issuer,
// refuses a changed one, and runs all vectors.
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { isSkipped } from '../runtimes/skip.js'
import { startJobs } from './jobs.js'
import { pack } from './project.js'
import { printTable, saveResults } from './table.js'
import browsers from './runners/browsers.js'
import bundlers from './runners/bundlers.js'
import edge from './runners/edge.js'
import scripts from './runners/scripts.js'
import tools from './runners/tools.js'

const RUNNERS = [...scripts, ...browsers, ...bundlers, ...edge, ...tools]

let folder, tarball, jobs
const rows = []

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'countersign-tarball-'))
  tarball = (await pack(folder)).tarball
  jobs = await startJobs()
})

after(async () => {
  await jobs?.stop()
  await rm(folder, { recursive: true })
  await saveResults(rows)
  printTable(rows)
})

for (const { name, needs = [], run } of RUNNERS) {
  test(`installed from its tarball, the package conforms in ${name}`, { skip: isSkipped(needs) }, async () => {
    const { address, result } = jobs.open()
    // A failure before the result is reported by `run`, a later one by the result.
    const [row, { problems, vectors, relaxed }] = await Promise.all([run({ tarball, address, result, pagePort: jobs.pagePort }), result])
    rows.push({ name, ...row, relaxed, vectors: problems.length === 0 ? vectors : 'failed' })
    assert.deepEqual(problems, [])
    assert.equal(vectors, jobs.vectors)
  })
}
