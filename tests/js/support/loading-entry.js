// Bundled by package-loading.test.js. Verifies the token of the job in the environment, and a changed one.
import { createVerifier } from 'countersign'

const { token, options } = JSON.parse(process.env.JOB)

createVerifier({ ...options, now: () => 1_700_000_000 }).then((verifier) => {
  console.log(verifier.verifySync(token).payload.sub)
  try {
    verifier.verifySync(`${token.slice(0, -8)}AAAAAAAA`)
  } catch ({ code }) {
    console.log(code)
  }
})
