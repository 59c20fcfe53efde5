// Measures in the runtime that runs this script: Node.js, Deno or Bun. Progress goes to standard error, the results go to
// standard output as one line of JSON.
import process from 'node:process'
import { kernelsAgainstOpenssl } from './openssl.js'
import { moduleInUse } from './lib/module.js'
import { NODE_ONLY, fastJwt, signatureOnly } from './lib/node-libraries.js'
import { runVerify } from './lib/suites.js'

const [rounds, kernelFolder] = process.argv.slice(2)
const results = await runVerify({
  rounds: Number(rounds),
  say: (line) => process.stderr.write(`      ${line}\n`),
  more: NODE_ONLY,
  signatureOnly,
  fastJwt,
  kernel: () => kernelsAgainstOpenssl(kernelFolder, Number(rounds)),
})
process.stdout.write(`${JSON.stringify({ runtime: runtimeName(), module: await moduleInUse(), ...results })}\n`)

function runtimeName() {
  if (globalThis.Deno) return `Deno ${Deno.version.deno}`
  if (globalThis.Bun) return `Bun ${Bun.version}`
  return `Node.js ${process.versions.node}`
}
