// docs/runtimes.md and docs/performance.md name rows of the table of tested versions, which the matrix of tests/packaging writes.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { read, table, tables } from './support/documents.js'

const [, ...tested] = table(read('pkg/README.md'), 'Where it runs')
const kernelOf = new Map(tested.map(([name, , , kernel]) => [name, kernel]))

test('each section about a runtime names the rows that prove it', () => {
  const sections = read('docs/runtimes.md').split(/^## /m).slice(1)
  let rows = 0
  for (const section of sections) {
    const [title] = section.split('\n', 1)
    const [, list = ''] = /^Tested[^:]*: ([^]*?)\.$/m.exec(section) ?? []
    const names = [...list.matchAll(/`([^`]+)`/g)].map(([, name]) => name)
    for (const name of names) assert.ok(kernelOf.has(name), `${title}: ${name}`)
    rows += names.length
    // Lambda is Node.js, and Rust has tests of its own.
    if (!['AWS Lambda', 'Rust'].includes(title)) assert.ok(names.length > 0, title)
  }
  assert.ok(rows > 40, `${rows} rows`)
})

test('each runtime has the kernel that docs/performance.md says', () => {
  const [, ...rows] = tables(read('docs/performance.md')).find(([[heading]]) => heading === 'runtime')
  assert.ok(rows.length > 5)
  for (const [name, kernel] of rows) assert.equal(kernelOf.get(name), kernel, name)
})
