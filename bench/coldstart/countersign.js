// Prints the milliseconds from the import to the first verdict.
import { readFileSync } from 'node:fs'
import process from 'node:process'

const start = performance.now()
const { token, jwk } = JSON.parse(readFileSync(process.argv[2], 'utf8'))
const { createVerifier } = await import('countersign')
const verifier = await createVerifier({ issuer: 'https://auth.example', audience: 'https://api.example', jwks: { keys: [jwk] } })
await verifier.verify(token)
console.log(performance.now() - start)
