// Opens a page in WebKitGTK through WebDriver (W3C), on a virtual screen.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from '../js/support/issuer.js'

/** The time limit for the first response of the driver. */
const START_LIMIT_MS = 10_000

/** Opens a page; see `openPage`. */
export async function openInWebKit(url, failed) {
  const screen = start('Xvfb', ['-displayfd', '3', '-nolisten', 'tcp'], process.env, 'xvfb')
  let driver
  const close = async () => {
    await driver?.end()
    // The browser ends with its screen.
    await screen.end()
  }
  try {
    const [display] = await screen.meanwhile(once(screen.output, 'data'))
    const port = await freePort()
    const environment = { ...process.env, DISPLAY: `:${String(display).trim()}`, GDK_BACKEND: 'x11' }
    driver = start('WebKitWebDriver', [`--port=${port}`], environment, 'webkit2gtk-driver')
    const sessions = `http://127.0.0.1:${port}/session`
    const { sessionId, capabilities } = await driver.meanwhile(openSession(sessions))
    await driver.meanwhile(post(`${sessions}/${sessionId}/url`, { url }))
    Promise.race([screen.ended, driver.ended]).catch(failed)
    return { runtime: `WebKitGTK ${capabilities.browserVersion}`, close }
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
      return await post(sessions, { capabilities: { alwaysMatch: { pageLoadStrategy: 'none' } } })
    } catch (error) {
      // `fetch` fails like this if the driver does not listen yet.
      if (!(error instanceof TypeError) || Date.now() > limit) throw error
    }
  }
}

/** Sends a WebDriver command and returns its result. */
async function post(address, command) {
  const response = await fetch(address, { method: 'POST', body: JSON.stringify(command) })
  const { value } = await response.json()
  if (!response.ok) throw new Error(`WebKitWebDriver: ${value.message || value.error}`)
  return value
}
