// Our kernels against OpenSSL: node:crypto in the same process, and the program `openssl`, if there is one, between two
// measurements of the same run.
import { execFileSync } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { compileKernels, makeSignature, measureKernels } from './lib/kernels.js'
import { median } from './lib/measure.js'
import { signatureChecks } from './lib/node-libraries.js'
import { makeKey } from './lib/tokens.js'

const SPEED_RUNS = 3

/** @param {string} folder contains the kernels' modules */
export async function kernelsAgainstOpenssl(folder, rounds) {
  const modules = await compileKernels((build) => readFile(join(folder, build)))
  const key = await makeKey()
  const sample = await makeSignature(key)
  const others = signatureChecks(key, sample)
  const runs = []
  const speeds = []
  for (let run = 0; run < SPEED_RUNS; run++) {
    runs.push(await measureKernels(modules, others, sample, Math.ceil(rounds / SPEED_RUNS)))
    speeds.push(opensslSpeed())
  }
  const results = runs[0].map(({ name }, row) => {
    const of = (field) => median(runs.map((run) => run[row][field]))
    return { name, ns: of('ns'), low: of('low'), high: of('high'), ratio: of('ratio'), quiet: of('quiet') }
  })
  if (!speeds.includes(undefined)) {
    const ratio = median(runs.map(([first], run) => first.ns / speeds[run].ns))
    results.push({ name: speeds[0].name, ns: median(speeds.map(({ ns }) => ns)), ratio })
  }
  return results
}

/** Returns the time of one verification by `openssl speed`, or `undefined` without that program. */
function opensslSpeed() {
  try {
    const options = { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }
    const [, , version] = /^(\S+) (\S+)/.exec(execFileSync('openssl', ['version'], options))
    const text = execFileSync('openssl', ['speed', '-mr', '-seconds', '1', 'rsa2048'], options)
    // "+F2:2:2048:3562.5:63451.5": number, bits, signatures and verifications in a second of processor time.
    const [, perSecond] = /^\+F2:\d+:2048:[\d.]+:([\d.]+)/m.exec(text)
    return { name: `openssl speed rsa2048 (${version})`, ns: 1e9 / Number(perSecond) }
  } catch {
    return undefined
  }
}
