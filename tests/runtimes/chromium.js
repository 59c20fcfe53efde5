import { chromium } from 'playwright-core'
import { isSkipped } from './skip.js'

const ARGS = ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update', '--disable-sync']

/** The `skip` option of node:test for tests in Chromium. */
export const skipChromium = isSkipped(['chromium'])

/** Starts the Chromium in `COUNTERSIGN_CHROMIUM`, headless. */
export async function launchChromium() {
  return chromium.launch({ executablePath: executable(), args: ARGS })
}

/** Starts the same Chromium with an extension, the folder of a manifest and its files. */
export function launchExtension(folder) {
  // Only the new headless mode has extensions, and only a persistent context loads them. Without a path, the profile is new.
  const args = [...ARGS, '--headless=new', `--disable-extensions-except=${folder}`, `--load-extension=${folder}`]
  return chromium.launchPersistentContext('', { executablePath: executable(), headless: false, args })
}

function executable() {
  const path = process.env.COUNTERSIGN_CHROMIUM
  if (path) return path
  throw new Error(
    'COUNTERSIGN_CHROMIUM is not set: it is the path of a Chromium. `cargo xtask test` finds or installs one and ' +
      'sets it; by hand on Debian: apt-get install chromium, then COUNTERSIGN_CHROMIUM=/usr/bin/chromium',
  )
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
