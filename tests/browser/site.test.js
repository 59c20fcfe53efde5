// The static site in three browsers, as a host of static files would serve it.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { STAGE_OF } from '../../pkg/dist/errors.js'
import { BROWSERS } from '../runtimes/browsers.js'
import { isSkipped } from '../runtimes/skip.js'
import { startTab } from './site-browsers.js'
import { openPage, serveSite, until } from './static-site.js'

/** One document stands for all of them if a test takes long: they have one frame. */
const DOCUMENT = 'docs/verify.html'

for (const name of BROWSERS) {
  describe(`the static site in ${name}`, { skip: isSkipped([name]) }, () => {
    let site, tab, dark

    before(async () => {
      site = await serveSite()
      tab = await startTab(name)
      dark = await startTab(name, { isDark: true, width: 360 })
    })

    after(async () => {
      await tab?.close()
      await dark?.close()
      site?.stop()
      await site?.remove()
    })

    const ownPages = () => [...site.pages.filter((path) => !path.startsWith('docs/')), DOCUMENT]

    test('each page loads without an error, and asks no other site', async () => {
      assert.ok(site.pages.length > 30, 'there are documents')
      for (const path of site.pages) {
        await open(tab, path)
        assert.deepEqual(await tab.run(() => globalThis.problems), [], path)
        const requested = await tab.run(() => performance.getEntriesByType('resource').map(({ name }) => name))
        assert.deepEqual(requested.filter((url) => !url.startsWith(site.url)), [], path)
      }
      assert.deepEqual(site.missed.filter((path) => path !== '/favicon.ico'), [])
    })

    test('each code is refused on the page', async () => {
      await open(tab, 'refusals.html')
      const codes = await tab.run(() => [...document.querySelectorAll('.refusal')].map(({ id }) => id))
      assert.deepEqual(codes, Object.keys(STAGE_OF))
    })

    test('a forged token is refused without an issuer, too', async () => {
      await open(tab, 'index.html')
      assert.equal(await tab.run(() => document.getElementById('code').textContent), 'ok')
      const click = (id) => document.getElementById(id).click()
      await tab.run(click, 'payload-subject')
      await until(tab, () => document.getElementById('code').textContent === 'signature_invalid')
      await tab.run(click, 'sign')
      await until(tab, () => document.getElementById('code').textContent === 'ok')
    })

    test('a token is inspected with options', async () => {
      await open(tab, 'inspect.html')
      assert.equal(await tab.run(() => document.getElementById('code').textContent), 'ok')
      await tab.run(() => {
        const scope = document.getElementById('option-scope')
        scope.value = 'admin'
        scope.dispatchEvent(new Event('input', { bubbles: true }))
      })
      await until(tab, () => document.getElementById('code')?.textContent === 'scope_insufficient')
    })

    test('a short race has three results', { timeout: 120_000 }, async () => {
      await open(tab, 'race.html')
      await until(tab, () => !document.getElementById('start').disabled)
      await tab.run(() => {
        document.getElementById('length').value = '2000'
        document.getElementById('start').click()
      })
      await until(tab, () => /The fastest is/.test(document.getElementById('notice').textContent))
      const figures = await tab.run(() => [...document.querySelectorAll('.figures')].map(({ textContent }) => textContent))
      assert.equal(figures.length, 3)
      for (const text of figures) assert.match(text, /µs a token/)
      assert.deepEqual(await tab.run(() => globalThis.problems), [])
    })

    test('axe-core finds nothing, in light and wide', { timeout: 300_000 }, async () => {
      for (const path of ownPages()) assert.deepEqual(await faults(tab, path), [], path)
    })

    test('axe-core finds nothing in any document, whose colours are those of one', { skip: name !== 'chromium', timeout: 300_000 }, async () => {
      const rules = { 'color-contrast': { enabled: false } }
      for (const path of site.pages.filter((path) => path.startsWith('docs/'))) assert.deepEqual(await faults(tab, path, rules), [], path)
    })

    test('axe-core finds nothing, in dark and narrow, and nothing overflows', { timeout: 300_000 }, async () => {
      for (const path of ownPages()) assert.deepEqual(await faults(dark, path), [], path)
      assert.equal(await dark.run(() => matchMedia('(prefers-color-scheme: dark)').matches), true)
      for (const path of name === 'chromium' ? site.pages : ownPages()) {
        await open(dark, path)
        assert.equal(await dark.run(() => document.documentElement.scrollWidth - document.documentElement.clientWidth), 0, path)
      }
    })

    test('the keyboard reaches each control and link', async () => {
      for (const path of ownPages()) {
        await open(tab, path)
        const count = await tab.run(markControls)
        let unreached = ['all']
        // Frames are stops of their own, and controls may be enabled meanwhile.
        for (let presses = 0; presses <= 2 * count && unreached.length > 0; presses++) {
          await tab.tab()
          unreached = await tab.run(markFocused)
        }
        assert.deepEqual(unreached, [], path)
      }
    })

    // The last test: the site is gone after it.
    test('each page works after the network has failed', { timeout: 300_000 }, async () => {
      await open(tab, 'index.html')
      await until(tab, () => document.getElementById('offline').textContent !== '')
      site.stop()
      for (const path of site.pages) {
        await open(tab, path)
        assert.deepEqual(await tab.run(() => globalThis.problems), [], path)
      }
    })

    const open = (in_, path) => openPage(in_, site, path)

    /** Returns what axe-core finds in a page: the rule, and the first element that breaks it. */
    async function faults(in_, path, rules = {}) {
      await open(in_, path)
      return in_.run(async ({ source, rules }) => {
        const script = Object.assign(document.createElement('script'), { src: source })
        await new Promise((resolve, reject) => {
          Object.assign(script, { onload: resolve, onerror: reject })
          document.head.append(script)
        })
        const { violations } = await globalThis.axe.run(document, { resultTypes: ['violations'], rules })
        return violations.map(({ id, nodes }) => `${id}: ${nodes[0].html}: ${nodes[0].failureSummary}`)
      }, { source: `${site.url}axe.js`, rules })
    }
  })
}

/** Marks the control with the focus as reached, and returns the others. */
function markFocused() {
  const focused = ({ activeElement }) => (activeElement?.contentDocument ? focused(activeElement.contentDocument) : activeElement)
  focused(document)?.removeAttribute('data-unreached')
  const pages = [document, ...[...document.querySelectorAll('iframe')].map(({ contentDocument }) => contentDocument)]
  return pages.flatMap((page) => [...page.querySelectorAll('[data-unreached]')].map(({ outerHTML }) => outerHTML))
}

/** Marks all that takes the focus in the page and its frames, and returns how much it is. */
function markControls() {
  const pages = [document, ...[...document.querySelectorAll('iframe')].map(({ contentDocument }) => contentDocument)]
  const controls = pages.flatMap((page) => [...page.querySelectorAll('a[href], button, input, select, textarea, summary, [tabindex="0"]')])
  const seen = controls.filter((control) => !control.disabled && control.checkVisibility() && (control.type !== 'radio' || control.checked))
  for (const control of seen) control.setAttribute('data-unreached', '')
  return seen.length
}
