// Bundled by package-inline.test.js. Verifies the token of the job in the environment.
import { createVerifierSync } from 'countersign/inline'

const { token, options } = JSON.parse(process.env.JOB)
const verifier = createVerifierSync({ ...options, now: () => 1_700_000_000 })
console.log(verifier.verifySync(token).payload.sub)
