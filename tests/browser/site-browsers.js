// The three browsers with one interface, for the tests and screenshots of the site: a tab that is navigated, asked and pictured.
import { writeFile } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import WebSocket from 'ws'
import { launchChromium } from '../runtimes/chromium.js'
import { startFirefox } from '../runtimes/firefox.js'
import { startWebKit } from '../runtimes/webkit.js'

/**
 * @typedef {object} Tab
 * @property {(url: string) => Promise<void>} goto
 * @property {(work: Function, argument?: unknown) => Promise<unknown>} run calls the function in the page, with values of JSON
 * @property {() => Promise<void>} tab presses the tab key
 * @property {(path: string) => Promise<void>} picture writes a picture of the whole page
 * @property {() => Promise<void>} close ends the browser
 */

/**
 * Starts a browser with one tab.
 *
 * @param {'chromium' | 'firefox' | 'webkit'} name
 * @param {{ isDark?: boolean, width?: number, height?: number }} [look]
 * @returns {Promise<Tab>}
 */
export function startTab(name, { isDark = false, width = 1280, height = 900 } = {}) {
  return { chromium, firefox, webkit }[name]({ isDark, width, height })
}

async function chromium({ isDark, width, height }) {
  const browser = await launchChromium()
  const colorScheme = isDark ? 'dark' : 'light'
  const page = await browser.newPage({ viewport: { width, height }, colorScheme, reducedMotion: 'reduce' })
  return {
    goto: (url) => page.goto(url),
    run: (work, argument) => page.evaluate(work, argument),
    tab: () => page.keyboard.press('Tab'),
    picture: (path) => page.screenshot({ path, fullPage: true }),
    close: () => browser.close(),
  }
}

/** By WebDriver BiDi, which Firefox speaks without a driver. */
async function firefox({ isDark, width, height }) {
  const preferences = { 'layout.css.prefers-color-scheme.content-override': isDark ? 0 : 1, 'ui.prefersReducedMotion': 1 }
  const { child, close } = await startFirefox(['--remote-debugging-port', '0'], preferences)
  try {
    const send = await connect(child)
    await send('session.new', { capabilities: {} })
    const { contexts: [{ context }] } = await send('browsingContext.getTree', {})
    await send('browsingContext.setViewport', { context, viewport: { width, height } })
    return {
      goto: (url) => send('browsingContext.navigate', { context, url, wait: 'complete' }),
      async run(work, argument) {
        const expression = callOf(work, argument)
        const answer = await send('script.evaluate', { expression, target: { context }, awaitPromise: true })
        if (answer.type === 'exception') throw new Error(answer.exceptionDetails.text)
        return parse(answer.result.value)
      },
      tab: () => send('input.performActions', { context, actions: TAB_KEY }),
      async picture(path) {
        const { data } = await send('browsingContext.captureScreenshot', { context, origin: 'document' })
        await writeFile(path, data, 'base64')
      },
      close,
    }
  } catch (error) {
    await close()
    throw error
  }
}

const TAB_KEY = [{ type: 'key', id: 'keyboard', actions: [{ type: 'keyDown', value: '\uE004' }, { type: 'keyUp', value: '\uE004' }] }]

/** Connects to the address that Firefox prints. Returns a function that sends a command. */
async function connect(child) {
  const exit = new Promise((_, reject) => child.once('exit', () => reject(new Error('Firefox ended'))))
  exit.catch(() => {})
  const address = (async () => {
    for await (const line of createInterface({ input: child.stderr })) {
      const [, url] = /WebDriver BiDi listening on (\S+)/.exec(line) ?? []
      if (url !== undefined) return url
    }
  })()
  const socket = new WebSocket(`${await Promise.race([address, exit])}/session`)
  await Promise.race([new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject)), exit])
  const waiting = new Map()
  socket.on('message', (text) => {
    const { id, result, message } = JSON.parse(text)
    const { resolve, reject } = waiting.get(id) ?? {}
    if (message === undefined) resolve?.(result)
    else reject?.(new Error(`Firefox: ${message}`))
  })
  let id = 0
  return (method, params) => {
    const answer = new Promise((resolve, reject) => waiting.set(++id, { resolve, reject }))
    socket.send(JSON.stringify({ id, method, params }))
    return Promise.race([answer, exit])
  }
}

async function webkit({ isDark, width, height }) {
  const { command, close } = await startWebKit({ GTK_THEME: isDark ? 'Adwaita:dark' : 'Adwaita' })
  try {
    await command('window/rect', { x: 0, y: 0, width, height })
    const run = async (work, argument) => {
      const script = `const done = arguments[0]; ${callOf(work, argument)}.then(done, (error) => done('!' + error))`
      const text = await command('execute/async', { script, args: [] })
      if (text?.startsWith('!')) throw new Error(text.slice(1))
      return parse(text)
    }
    return {
      goto: (url) => command('url', { url }),
      run,
      tab: () => command('actions', { actions: TAB_KEY }),
      async picture(path) {
        await writeFile(path, await command('screenshot'), 'base64')
      },
      close,
    }
  } catch (error) {
    await close()
    throw error
  }
}

/** Returns an expression that calls the function, and is a promise of its result as JSON. */
function callOf(work, argument) {
  return `Promise.resolve((${work})(${JSON.stringify(argument) ?? ''})).then((value) => JSON.stringify(value) ?? '')`
}

function parse(text) {
  return text === '' || text === undefined ? undefined : JSON.parse(text)
}
