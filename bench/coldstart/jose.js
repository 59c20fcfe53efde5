// Prints the milliseconds from the import to the first verdict.
import { readFileSync } from 'node:fs'
import process from 'node:process'

const start = performance.now()
const { token, jwk } = JSON.parse(readFileSync(process.argv[2], 'utf8'))
const { createLocalJWKSet, jwtVerify } = await import('jose')
const keys = createLocalJWKSet({ keys: [jwk] })
await jwtVerify(token, keys, { algorithms: ['RS256'], issuer: 'https://auth.example', audience: 'https://api.example' })
console.log(performance.now() - start)
