// The browsers, all with one interface. A page sends its results to its server.
import { openInChromium } from './chromium.js'
import { openInFirefox } from './firefox.js'
import { openInWebKit } from './webkit.js'

const OPEN = { chromium: openInChromium, firefox: openInFirefox, webkit: openInWebKit }

/** The names of the browsers. */
export const BROWSERS = Object.keys(OPEN)

/**
 * Opens a page in a new browser with an empty profile.
 *
 * @param {string} name one of `BROWSERS`
 * @param {string} url
 * @param {(error: Error) => void} failed is called if the page can certainly not be opened
 * @returns {Promise<{ runtime?: string, close: () => Promise<void> }>} `runtime`: name and version, if pages cannot see them
 */
export function openPage(name, url, failed) {
  return OPEN[name](url, failed)
}
