// Compiled, never run: the package from a CommonJS module.
import countersign = require('countersign')

const verifier: Promise<countersign.Verifier> = countersign.createVerifier({ issuer: 'i', audience: 'a', jwks: 'https://auth.example/jwks.json' })
void verifier
