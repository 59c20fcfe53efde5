// Opens a page in Firefox, without a driver.
import { execFile, spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

/** Opens a page, see `openPage`, in the Firefox of `COUNTERSIGN_FIREFOX`, or in Debian's. */
export async function openInFirefox(url, failed) {
  const program = process.env.COUNTERSIGN_FIREFOX || 'firefox-esr'
  const runtime = await versionOf(program)
  const profile = await mkdtemp(join(tmpdir(), 'countersign-firefox-'))
  const child = spawn(program, ['--headless', '--no-remote', '--profile', profile, url], { stdio: 'ignore' })
  const ended = new Promise((resolve) => child.once('close', resolve).once('error', resolve))
  child.once('exit', () => failed(new Error('Firefox ended before its page was done')))
  const close = async () => {
    child.kill()
    await ended
    await rm(profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 })
  }
  return { runtime, close }
}

async function versionOf(program) {
  try {
    const { stdout } = await promisify(execFile)(program, ['--version'])
    return stdout.trim().replace(/^Mozilla /, '')
  } catch {
    throw new Error(`there is no ${program}; install Firefox, or set COUNTERSIGN_FIREFOX to its path`)
  }
}
