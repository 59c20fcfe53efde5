// Opens a page in WebKitGTK through WebDriver (W3C), on a virtual screen.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from '../js/support/issuer.js'

/** The time limit for the first response of the driver. */
const START_LIMIT_MS = 10_000

/** Opens a page; see `openPage`. */
export async function openInWebKit(url, failed) {
  const { runtime, command, ended, close } = await startWebKit()
  try {
    await command('url', { url })
    ended.catch(failed)
    return { runtime, close }
  } catch (error) {
    await close()
    throw error
  }
}

/**
 * Starts WebKitGTK with an empty profile.
 *
 * @param {Record<string, string>} [settings] more environment variables, such as `GTK_THEME`
 * @returns {Promise<{ runtime: string, command: (path: string, body?: object) => Promise<unknown>, ended: Promise<never>, close: () =>
 *   Promise<void> }>} `command` sends a command of WebDriver, without a body by GET; `ended` rejects if the browser ends
 */
export async function startWebKit(settings = {}) {
  const screen = start('Xvfb', ['-displayfd', '3', '-nolisten', 'tcp', '-screen', '0', '1400x1200x24'], process.env, 'xvfb')
  let driver
  const close = async () => {
    await driver?.end()
    // The browser ends with its screen.
    await screen.end()
  }
  try {
    const [display] = await screen.meanwhile(once(screen.output, 'data'))
    const port = await freePort()
    const environment = { ...process.env, ...settings, DISPLAY: `:${String(display).trim()}`, GDK_BACKEND: 'x11' }
    driver = start('WebKitWebDriver', [`--port=${port}`], environment, 'webkit2gtk-driver')
    const sessions = `http://127.0.0.1:${port}/session`
    const { sessionId, capabilities } = await driver.meanwhile(openSession(sessions))
    const command = (path, body) => driver.meanwhile(send(`${sessions}/${sessionId}/${path}`, body))
    const ended = Promise.race([screen.ended, driver.ended])
    // Only some callers wait for it.
    ended.catch(() => {})
    return { runtime: `WebKitGTK ${capabilities.browserVersion}`, command, ended, close }
  } catch (error) {
    await close()
    throw error
  }
}

/** Starts a program. `output` is the text that it writes to its file descriptor 3. */
function start(program, args, env, debianPackage) {
  const child = spawn(program, args, { env, stdio: ['ignore', 'ignore', 'ignore', 'pipe'] })
  const ended = new Promise((_, reject) => {
    child.once('error', () => reject(new Error(`there is no ${program}; Debian has it as the package ${debianPackage}`)))
    child.once('exit', () => reject(new Error(`${program} ended before its page was done`)))
  })
  return {
    output: child.stdio[3],
    ended,
    /** Awaits `promise`, and rejects if the program ends before. */
    meanwhile: (promise) => Promise.race([promise, ended]),
    async end() {
      child.kill()
      await ended.catch(() => {})
    },
  }
}

/** Requests a session, once the driver listens. */
async function openSession(sessions) {
  // Without `ref`, the timer does not keep the process alive after the driver has ended.
  for (const limit = Date.now() + START_LIMIT_MS; ; await sleep(50, undefined, { ref: false })) {
    try {
      return await send(sessions, { capabilities: { alwaysMatch: { pageLoadStrategy: 'none' } } })
    } catch (error) {
      // `fetch` fails like this if the driver does not listen yet.
      if (!(error instanceof TypeError) || Date.now() > limit) throw error
    }
  }
}

/** Sends a WebDriver command, without a body by GET, and returns its result. */
async function send(address, body) {
  const response = await fetch(address, body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) })
  const { value } = await response.json()
  if (!response.ok) throw new Error(`WebKitWebDriver: ${value.message || value.error}`)
  return value
}
