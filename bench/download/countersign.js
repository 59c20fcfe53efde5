// A page that verifies tokens with a key set from a URL.
import { createVerifier } from 'countersign'

globalThis.verifier = createVerifier({
  issuer: 'https://auth.example',
  audience: 'https://api.example',
  jwks: 'https://auth.example/.well-known/jwks.json',
}).then((verifier) => (token) => verifier.verify(token))
