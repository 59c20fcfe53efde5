// Runs every vector on countersign/js and prints the disagreements as JSON. Run it by `node --jitless`, which has no
// WebAssembly. It removes more that React Native or jsdom may lack.
import { readdirSync, readFileSync } from 'node:fs'
import { runVectors, WAYS } from './vectors.js'

for (const name of ['TextEncoder', 'TextDecoder', 'FinalizationRegistry']) delete globalThis[name]

const countersign = await import('countersign/js')
const folder = new URL('../../vectors/', import.meta.url)
const vectors = readdirSync(folder).flatMap((name) => JSON.parse(readFileSync(new URL(name, folder), 'utf8')))
// Without WebAssembly, Node.js has no `Response` for the other way.
const disagreements = await runVectors(countersign, vectors, { verifySync: WAYS.verifySync })
console.log(JSON.stringify({ webAssembly: typeof WebAssembly, count: vectors.length, disagreements }))
