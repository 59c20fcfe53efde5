// Runs a module of wasm-bindgen-test in Chromium: `node chromium.js TOOL MODULE`. wasm-bindgen itself would need a chromedriver.
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { launchChromium } from '../runtimes/chromium.js'

const [tool, ...args] = process.argv.slice(2)
// The server of the tests' page, on a free port.
const variables = { NO_HEADLESS: '1', WASM_BINDGEN_USE_BROWSER: '1', WASM_BINDGEN_TEST_ADDRESS: '127.0.0.1:0' }
const server = spawn(tool, ['test', ...args], { env: { ...process.env, ...variables }, stdio: ['ignore', 'pipe', 'inherit'] })
try {
  const browser = await launchChromium()
  try {
    const page = await browser.newPage()
    await page.goto(await address())
    const output = page.locator('#output', { hasText: 'test result: ' })
    await output.waitFor({ timeout: 120_000 })
    const text = await output.textContent()
    console.log(`${text}in Chromium ${browser.version()}`)
    process.exitCode = text.includes('test result: ok.') ? 0 : 1
  } finally {
    await browser.close()
  }
} finally {
  server.kill()
}

async function address() {
  for await (const line of createInterface(server.stdout)) {
    const [found] = /http:\S+/.exec(line) ?? []
    if (found !== undefined) return found
  }
  throw new Error('the module has no tests')
}
