import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

const run = promisify(execFile)
const FRESH_MS = 1000
const TIMEOUT_MS = 10_000
const TIMES = ['kid', 'created_at', 'activates_at', 'retires_at', 'drops_at']
const MEMBERS = [...TIMES, 'state', 'bits']
const INTERVALS = ['now', 'publish_lead', 'drop_lag', 'rotation_period', 'access_ttl', 'jwks_max_age', 'clock_skew']

/**
 * Makes a function that lists the state of each key by the issuer's command line.
 *
 * @param {string[]} command the program and its arguments; no shell is involved
 * @returns {() => Promise<object[]>} rejects if the command fails, takes over 10 s, or prints anything but a JSON list
 */
export function createKeyStates(command) {
  return cached(command, (keys) => pickAll(keys, MEMBERS))
}

/**
 * Makes a function that plans the keys by the issuer's command line.
 *
 * @param {string[]} command the program and its arguments; no shell is involved
 * @returns {() => Promise<object>} rejects if the command fails, takes over 10 s, or prints anything but a plan
 */
export function createKeyPlan(command) {
  return cached(command, (plan) => ({ ...pick(plan, INTERVALS), keys: pickAll(plan?.keys, TIMES) }))
}

/** Runs the command at most once a second, and one at a time, for all polling tabs. `read` takes the part that the page shows. */
function cached([program, ...args], read) {
  let latest
  let latestAt = 0
  let running
  const ask = async () => {
    const { stdout } = await run(program, args, { timeout: TIMEOUT_MS, maxBuffer: 1 << 20 }).catch((error) => {
      throw new Error(`the command that lists the keys failed: ${firstLine(error.stderr) || error.code || error.message}`)
    })
    latest = read(parse(stdout))
    latestAt = performance.now()
    return latest
  }
  return () => {
    if (latest !== undefined && performance.now() - latestAt < FRESH_MS) return Promise.resolve(latest)
    running ??= ask().finally(() => {
      running = undefined
    })
    return running
  }
}

function parse(stdout) {
  try {
    return JSON.parse(stdout)
  } catch {
    return undefined
  }
}

function pickAll(keys, names) {
  if (!Array.isArray(keys)) throw new Error('the command that lists the keys did not print a JSON list')
  return keys.map((key) => pick(key, names))
}

function pick(object, names) {
  return Object.fromEntries(names.map((name) => [name, object?.[name] ?? null]))
}

function firstLine(text) {
  return text?.trim().split('\n', 1)[0]
}
