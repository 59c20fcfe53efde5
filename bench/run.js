// The program behind `cargo xtask bench`: `node bench/run.js <verify|issuer|size|coldstart|gateway>… --out FOLDER [options]`.
// Prints tables and writes FOLDER/<benchmark>.json.
import { mkdir } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { BROWSERS } from '../tests/runtimes/browsers.js'
import { RUNTIMES } from '../tests/runtimes/runtimes.js'
import { runColdStart } from './coldstart.js'
import { runVerifyEverywhere } from './everywhere.js'
import { runGateway } from './gateway.js'
import { runIssuer } from './issuer.js'
import { runSize } from './size.js'

const BENCHMARKS = { verify: runVerifyEverywhere, issuer: runIssuer, size: runSize, coldstart: runColdStart, gateway: runGateway }

try {
  const options = Object.fromEntries(['out', 'load', 'twiggy', 'runtime', 'rounds', 'save'].map((name) => [name, { type: 'string' }]))
  const { values, positionals } = parseArgs({ allowPositionals: true, options })
  const { runtime, rounds, ...paths } = values
  const setting = { ...paths, names: readNames(runtime), rounds: rounds && Number(rounds) }
  await mkdir(setting.out, { recursive: true })
  for (const benchmark of positionals) await BENCHMARKS[benchmark](setting)
} catch (error) {
  console.error(process.env.DEBUG ? error : `bench: ${error.message}`)
  process.exitCode = 1
}

/** Reads names of runtimes, separated by commas. */
function readNames(text) {
  const known = [...RUNTIMES, 'workerd', ...BROWSERS]
  const names = text?.split(',')
  const unknown = names?.find((name) => !known.includes(name))
  if (unknown !== undefined) throw new Error(`there is no runtime "${unknown}"; expected some of ${known.join(',')}`)
  return names
}
