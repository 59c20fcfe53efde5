// Runs every vector on one build of the WebAssembly module and prints the results as JSON. It is a process of its own,
// because a process loads only one build: `node run-vectors.js portable|relaxed`.
import { readdirSync, readFileSync } from 'node:fs'
import { runVectors } from './vectors.js'

const relaxed = process.argv[2] === 'relaxed'
const validate = WebAssembly.validate
let asked = 0
// The package checks only once if the engine has relaxed SIMD.
WebAssembly.validate = (bytes) => {
  asked += 1
  if (relaxed && !validate(bytes)) throw new Error('this engine has no relaxed SIMD')
  return relaxed
}

const countersign = await import('countersign')
const folder = new URL('../../vectors/', import.meta.url)
const files = {}
for (const name of readdirSync(folder).filter((name) => name.endsWith('.json'))) {
  const vectors = JSON.parse(readFileSync(new URL(name, folder), 'utf8'))
  files[name] = { count: vectors.length, disagreements: await runVectors(countersign, vectors) }
}
console.log(JSON.stringify({ asked, files }))
