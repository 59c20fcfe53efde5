// Opens a page in WebKit as GTK's programs have it, through WebDriver (W3C), on a screen that nobody sees.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from '../js/support/issuer.js'

/** How long the driver may take until it answers. */
const START_LIMIT_MS = 10_000

/** Opens a page, as `openPage` says. */
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

/** Starts a program. Its `output` is what it writes to its file descriptor 3. */
function start(program, args, env, debianPackage) {
  const child = spawn(program, args, { env, stdio: ['ignore', 'ignore', 'ignore', 'pipe'] })
  const ended = new Promise((_, reject) => {
    child.once('error', () => reject(new Error(`there is no ${program}; Debian has it as the package ${debianPackage}`)))
    child.once('exit', () => reject(new Error(`${program} ended before its page was done`)))
  })
  return {
    output: child.stdio[3],
    ended,
    /** What `promise` comes to, unless the program ends before. */
    meanwhile: (promise) => Promise.race([promise, ended]),
    async end() {
      child.kill()
      await ended.catch(() => {})
    },
  }
}

/** Asks for a session, once the driver is there to be asked. */
async function openSession(sessions) {
  // Without `ref` it holds up nothing after a driver that has ended.
  for (const limit = Date.now() + START_LIMIT_MS; ; await sleep(50, undefined, { ref: false })) {
    try {
      return await post(sessions, { capabilities: { alwaysMatch: { pageLoadStrategy: 'none' } } })
    } catch (error) {
      // That is how `fetch` fails where nobody listens.
      if (!(error instanceof TypeError) || Date.now() > limit) throw error
    }
  }
}

/** A command of WebDriver and its answer. */
async function post(address, command) {
  const response = await fetch(address, { method: 'POST', body: JSON.stringify(command) })
  const { value } = await response.json()
  if (!response.ok) throw new Error(`WebKitWebDriver: ${value.message || value.error}`)
  return value
}
