// Opens a page in Firefox, without a driver.
import { spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Opens a page, as `openPage` says. */
export async function openInFirefox(url, failed) {
  const profile = await mkdtemp(join(tmpdir(), 'countersign-firefox-'))
  const flags = ['--headless', '--no-remote', '--profile', profile, url]
  const child = spawn(process.env.COUNTERSIGN_FIREFOX || 'firefox-esr', flags, { stdio: 'ignore' })
  const ended = new Promise((resolve) => child.once('close', resolve).once('error', resolve))
  child.once('error', () => failed(new Error('there is no firefox-esr; install it, or set COUNTERSIGN_FIREFOX to its path')))
  child.once('exit', () => failed(new Error('Firefox ended before its page was done')))
  const close = async () => {
    child.kill()
    await ended
    await rm(profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 })
  }
  return { close }
}
