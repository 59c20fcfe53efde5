// What `cargo xtask bench` runs: `node bench/run.js <verify|issuer|size|coldstart>… --out FOLDER [options]`. Prints tables and
// writes FOLDER/<what>.json.
import { mkdir } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { BROWSERS } from '../tests/runtimes/browsers.js'
import { RUNTIMES } from '../tests/runtimes/runtimes.js'
import { runColdStart } from './coldstart.js'
import { runVerifyEverywhere } from './everywhere.js'
import { runIssuer } from './issuer.js'
import { runSize } from './size.js'

const BENCHMARKS = { verify: runVerifyEverywhere, issuer: runIssuer, size: runSize, coldstart: runColdStart }

try {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      out: { type: 'string' },
      kernels: { type: 'string' },
      named: { type: 'string' },
      load: { type: 'string' },
      runtime: { type: 'string' },
      rounds: { type: 'string' },
      save: { type: 'string' },
    },
  })
  const { runtime, rounds, ...folders } = values
  const setting = { ...folders, names: readNames(runtime), rounds: rounds && Number(rounds) }
  await mkdir(setting.out, { recursive: true })
  for (const what of positionals) await BENCHMARKS[what](setting)
} catch (error) {
  console.error(process.env.DEBUG ? error : `bench: ${error.message}`)
  process.exitCode = 1
}

/** Names with commas in between. */
function readNames(text) {
  const known = [...RUNTIMES, ...BROWSERS]
  const names = text?.split(',')
  const unknown = names?.find((name) => !known.includes(name))
  if (unknown !== undefined) throw new Error(`there is no runtime "${unknown}"; expected some of ${known.join(',')}`)
  return names
}
