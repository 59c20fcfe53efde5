// The same from CommonJS.
const { createVerifier } = require('countersign')

const { token, options } = JSON.parse(process.env.JOB)

createVerifier({ ...options, now: () => 1_700_000_000 }).then((verifier) => {
  console.log(verifier.verifySync(token).payload.sub)
  try {
    verifier.verifySync(`${token.slice(0, -8)}AAAAAAAA`)
  } catch ({ code }) {
    console.log(code)
  }
})
