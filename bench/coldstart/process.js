// The program of a process: `process.js CONTESTANT TASK`. Prints the milliseconds from the import to the first verdict.
import { readFileSync } from 'node:fs'
import process from 'node:process'

const [contestant, path] = process.argv.slice(2)
const task = JSON.parse(readFileSync(path, 'utf8'))
const start = performance.now()
const { verdict } = await import(`./${contestant}.js`)
await verdict(task)
console.log(performance.now() - start)
