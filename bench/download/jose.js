// The same page with jose.
import { createRemoteJWKSet, jwtVerify } from 'jose'

const keys = createRemoteJWKSet(new URL('https://auth.example/.well-known/jwks.json'))
const options = { algorithms: ['RS256'], issuer: 'https://auth.example', audience: 'https://api.example' }
globalThis.verifier = Promise.resolve((token) => jwtVerify(token, keys, options))
