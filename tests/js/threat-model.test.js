// docs/threat-model.md names a proof for each attack, and each proof exists.
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { read, tables } from './support/documents.js'

const attacks = tables(read('docs/threat-model.md')).filter(([[first]]) => first === 'attack').flatMap(([, ...rows]) => rows)

test('each attack has a defence and a proof, and no cell has anything else', () => {
  assert.ok(attacks.length > 50, `${attacks.length} attacks`)
  for (const [attack, defence, proof] of attacks) {
    assert.ok(defence.length > 0, attack)
    assert.equal(proofsOf(proof).map(({ text }) => text).join('; '), proof, attack)
  }
})

for (const [attack, , proof] of attacks) {
  test(`the proof exists: ${attack}`, () => {
    for (const { file, names } of proofsOf(proof)) {
      const source = read(join('docs', file))
      for (const name of names) assert.ok(contains(file, source, name), `${file}: ${name}`)
    }
  })
}

/** Reads `[file](path): name, name; [file](path): name`, with each name as code. */
function proofsOf(cell) {
  return [...cell.matchAll(/\[[^\]]+\]\(([^)]+)\): (`[^`]+`(?:, `[^`]+`)*)/g)].map(([text, file, names]) => {
    return { text, file, names: [...names.matchAll(/`([^`]+)`/g)].map(([, name]) => name) }
  })
}

/** A name is that of a vector, of a Rust function, or part of the name of a test in JavaScript. */
function contains(file, source, name) {
  if (file.endsWith('.json')) return JSON.parse(source).some((vector) => vector.name === name)
  if (file.endsWith('.rs') && !name.endsWith('!')) return source.includes(`fn ${name}(`)
  return source.includes(name)
}
