// Takes screenshots of the demo page: node tests/browser/screenshots.js
// Writes target/screenshots/*.png, and the README's docs/demo.png and docs/demo-dark.png.
// Needs the environment of the browser tests: COUNTERSIGN_ISSUER_BINARY, COUNTERSIGN_CHROMIUM and a built package.

import { mkdir } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { launchChromium } from '../runtimes/chromium.js'
import { startDemo } from '../js/support/demo.js'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const OUT = `${ROOT}target/screenshots`
const WIDE = { width: 1280, height: 880 }
const NARROW = { width: 360, height: 780 }

const demo = await startDemo()
const browser = await launchChromium()
try {
  await mkdir(OUT, { recursive: true })
  await mkdir(`${ROOT}docs`, { recursive: true })
  for (const scheme of ['light', 'dark']) {
    await session(`${scheme}`, { viewport: WIDE, colorScheme: scheme })
    await session(`narrow-${scheme}`, { viewport: NARROW, colorScheme: scheme })
  }
} finally {
  await browser.close()
  await demo.stop()
}
console.log(`pictures in ${OUT}, and docs/demo.png, docs/demo-dark.png`)

/** Walks through the page and takes a screenshot of each state. */
async function session(name, { viewport, colorScheme }) {
  const context = await browser.newContext({ viewport, colorScheme, reducedMotion: 'reduce' })
  const page = await context.newPage()
  const picture = (state) => page.screenshot({ path: `${OUT}/${name}-${state}.png`, fullPage: true })
  await page.goto(demo.page)
  await page.locator('#keys li').first().waitFor()
  await picture('out')

  await page.fill('#password', 'wrong')
  await page.click('#login')
  await page.locator('.notice.error').waitFor()
  await picture('wrong-password')

  await page.reload()
  await page.click('#login')
  await page.locator('#microseconds').waitFor()
  await picture('accepted')
  if (viewport === WIDE) await page.screenshot({ path: `${ROOT}docs/demo${colorScheme === 'dark' ? '-dark' : ''}.png` })

  for (const id of ['payload-subject', 'signature-bit', 'alg-hs256']) {
    await page.click(`#${id}`)
    await page.locator('#microseconds').waitFor()
    await picture(id)
  }
  await page.click('#restore')
  await page.click('#refresh')
  await page.locator('#session tbody tr').nth(1).waitFor()
  // Without the issuer the token is not refreshed in time.
  await page.route('**/token', (route) => route.abort())
  await page.evaluate(() => {
    const real = Date.now
    Date.now = () => real() + 15 * 60 * 1000
  })
  await page.locator('.clock.expired').waitFor()
  await page.locator('#microseconds').waitFor()
  await picture('expired')
  await context.close()
}
