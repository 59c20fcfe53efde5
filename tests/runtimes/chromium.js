import { chromium } from 'playwright-core'
import { isSkipped } from './skip.js'

const ARGS = ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update', '--disable-sync']

/** The `skip` option of node:test for tests in Chromium. */
export const skipChromium = isSkipped(['chromium'])

/** Starts the Chromium in `COUNTERSIGN_CHROMIUM`, headless. */
export async function launchChromium() {
  const executablePath = process.env.COUNTERSIGN_CHROMIUM
  if (!executablePath) {
    throw new Error(
      'COUNTERSIGN_CHROMIUM is not set: it is the path of a Chromium. `cargo xtask test` finds or installs one and ' +
        'sets it; by hand on Debian: apt-get install chromium, then COUNTERSIGN_CHROMIUM=/usr/bin/chromium',
    )
  }
  return chromium.launch({ executablePath, args: ARGS })
}

/** Opens a page; see `openPage`. */
export async function openInChromium(url, failed) {
  const browser = await launchChromium()
  try {
    const page = await browser.newPage()
    page.on('pageerror', failed)
    page.on('crash', () => failed(new Error('the page crashed')))
    await page.goto(url)
    return { runtime: `Chromium ${browser.version()}`, close: () => browser.close() }
  } catch (error) {
    await browser.close()
    throw error
  }
}
