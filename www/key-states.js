import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

const run = promisify(execFile)
const FRESH_MS = 1000
const TIMEOUT_MS = 10_000
const MEMBERS = ['kid', 'state', 'created_at', 'activates_at', 'retires_at', 'drops_at', 'bits']

/**
 * Makes a function that lists the state of each key by the issuer's command line. It caches the list for a second and
 * runs one command at a time, which all polling tabs share.
 *
 * @param {string[]} command the program and its arguments; no shell is involved
 * @returns {() => Promise<object[]>} rejects if the command fails, takes over 10 s, or prints anything but a JSON list
 */
export function createKeyStates([program, ...args]) {
  let latest
  let latestAt = 0
  let running
  const list = async () => {
    const { stdout } = await run(program, args, { timeout: TIMEOUT_MS, maxBuffer: 1 << 20 }).catch((error) => {
      throw new Error(`the command that lists the keys failed: ${firstLine(error.stderr) || error.code || error.message}`)
    })
    latest = pick(stdout)
    latestAt = performance.now()
    return latest
  }
  return () => {
    if (latest !== undefined && performance.now() - latestAt < FRESH_MS) return Promise.resolve(latest)
    running ??= list().finally(() => {
      running = undefined
    })
    return running
  }
}

/** Keeps only the members that the page shows. */
function pick(stdout) {
  let keys
  try {
    keys = JSON.parse(stdout)
  } catch {
    keys = undefined
  }
  if (!Array.isArray(keys)) throw new Error('the command that lists the keys did not print a JSON list')
  return keys.map((key) => Object.fromEntries(MEMBERS.map((name) => [name, key?.[name] ?? null])))
}

function firstLine(text) {
  return text?.trim().split('\n', 1)[0]
}
