// Takes pictures of the site: node tests/browser/screenshots.js [site] [demo]
// `site` takes each page of the static site in three browsers, light, dark and narrow. `demo` takes the states of the first page with
// an issuer, and the README's docs/demo.png and docs/demo-dark.png. Without a name, it takes both. They are in target/screenshots.
// Needs the environment of the browser tests: COUNTERSIGN_ISSUER_BINARY, COUNTERSIGN_CHROMIUM and a built package.

import { mkdir } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { BROWSERS } from '../runtimes/browsers.js'
import { launchChromium } from '../runtimes/chromium.js'
import { startDemo } from '../js/support/demo.js'
import { startTab } from './site-browsers.js'
import { openPage, serveSite } from './static-site.js'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const OUT = `${ROOT}target/screenshots`
const WIDE = { width: 1280, height: 880 }
const NARROW = { width: 360, height: 780 }

/** One document stands for all of them. */
const isPictured = (path) => !path.startsWith('docs/') || ['docs/index.html', 'docs/verify.html', 'docs/errors.html'].includes(path)

const parts = process.argv.slice(2)
const isWanted = (part) => parts.length === 0 || parts.includes(part)
await mkdir(OUT, { recursive: true })
if (isWanted('site')) await picturePages()
if (isWanted('demo')) await pictureDemo()
console.log(`pictures in ${OUT}`)

async function picturePages() {
  const site = await serveSite()
  try {
    for (const browser of BROWSERS) {
      for (const isDark of [false, true]) {
        for (const [size, shape] of [['wide', WIDE], ['narrow', NARROW]]) {
          const tab = await startTab(browser, { isDark, ...shape })
          try {
            for (const path of site.pages.filter(isPictured)) {
              await openPage(tab, site, path)
              const name = path.replace('.html', '').replaceAll('/', '-')
              await tab.picture(`${OUT}/${name}-${browser}-${isDark ? 'dark' : 'light'}-${size}.png`)
            }
          } finally {
            await tab.close()
          }
        }
      }
    }
  } finally {
    site.stop()
    await site.remove()
  }
}

async function pictureDemo() {
  const demo = await startDemo()
  const browser = await launchChromium()
  try {
    for (const scheme of ['light', 'dark']) {
      await session(demo, browser, `${scheme}`, { viewport: WIDE, colorScheme: scheme })
      await session(demo, browser, `narrow-${scheme}`, { viewport: NARROW, colorScheme: scheme })
      await account(demo, browser, `account-${scheme}`, { viewport: WIDE, colorScheme: scheme })
      await account(demo, browser, `account-narrow-${scheme}`, { viewport: NARROW, colorScheme: scheme })
    }
  } finally {
    await browser.close()
    await demo.stop()
  }
}

/** Walks through the page and takes a screenshot of each state. */
async function session(demo, browser, name, { viewport, colorScheme }) {
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

/** Takes screenshots of the page of the account. */
async function account(demo, browser, name, { viewport, colorScheme }) {
  const context = await browser.newContext({ viewport, colorScheme, reducedMotion: 'reduce' })
  const page = await context.newPage()
  const picture = (state) => page.screenshot({ path: `${OUT}/${name}-${state}.png`, fullPage: true })
  await page.goto(`${demo.page}/account.html`)
  await page.click('#login')
  await page.locator('#set-up-totp').waitFor()
  await picture('in')
  await page.click('#set-up-totp')
  await page.locator('dialog .qr').waitFor()
  await picture('app')
  await context.close()
}
