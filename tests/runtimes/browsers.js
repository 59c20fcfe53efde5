// The browsers, all opened in the same way. What the page has to say, it sends to whoever served it.
import { openInChromium } from './chromium.js'
import { openInFirefox } from './firefox.js'
import { openInWebKit } from './webkit.js'

const OPEN = { chromium: openInChromium, firefox: openInFirefox, webkit: openInWebKit }

/** The names of the browsers. */
export const BROWSERS = Object.keys(OPEN)

/**
 * Opens a page in a browser of its own, with nothing left from another.
 *
 * @param {string} name one of `BROWSERS`
 * @param {string} url
 * @param {(error: Error) => void} failed is called where that is certain to come to nothing
 * @returns {Promise<{ runtime?: string, close: () => Promise<void> }>} `runtime`: name and version, where no page is told
 */
export function openPage(name, url, failed) {
  return OPEN[name](url, failed)
}
