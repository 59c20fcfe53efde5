// Starts Firefox, without a driver.
import { execFile, spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

/** Opens a page, see `openPage`, in the Firefox of `COUNTERSIGN_FIREFOX`, or in Debian's. */
export async function openInFirefox(url, failed) {
  const { runtime, child, close } = await startFirefox([url])
  child.once('exit', () => failed(new Error('Firefox ended before its page was done')))
  return { runtime, close }
}

/**
 * Starts Firefox without a window and with an empty profile.
 *
 * @param {string[]} args
 * @param {Record<string, unknown>} [preferences] of the profile
 */
export async function startFirefox(args, preferences = {}) {
  const program = process.env.COUNTERSIGN_FIREFOX || 'firefox-esr'
  const runtime = await versionOf(program)
  const profile = await mkdtemp(join(tmpdir(), 'countersign-firefox-'))
  const lines = Object.entries(preferences).map(([name, value]) => `user_pref(${JSON.stringify(name)}, ${JSON.stringify(value)});\n`)
  await writeFile(join(profile, 'user.js'), lines.join(''))
  const child = spawn(program, ['--headless', '--no-remote', '--profile', profile, ...args], { stdio: ['ignore', 'ignore', 'pipe'] })
  child.stderr.resume()
  const ended = new Promise((resolve) => child.once('close', resolve).once('error', resolve))
  const close = async () => {
    child.kill()
    await ended
    await rm(profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 })
  }
  return { runtime, child, close }
}

async function versionOf(program) {
  try {
    const { stdout } = await promisify(execFile)(program, ['--version'])
    return stdout.trim().replace(/^Mozilla /, '')
  } catch {
    throw new Error(`there is no ${program}; install Firefox, or set COUNTERSIGN_FIREFOX to its path`)
  }
}
