// The pages Keys and Sessions in Firefox and WebKit: the basics.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { isSkipped } from '../runtimes/skip.js'
import { startTab } from './site-browsers.js'
import { openPage, serveSite, until } from './static-site.js'

for (const name of ['firefox', 'webkit']) {
  describe(`in ${name}`, { skip: isSkipped([name]) }, () => {
    let site, tab

    before(async () => {
      site = await serveSite()
      tab = await startTab(name)
    })

    after(async () => {
      await tab?.close()
      site?.stop()
      await site?.remove()
    })

    test('the time line has the states, and a slider changes the plan', async () => {
      await openPage(tab, site, 'keys.html')
      const states = await tab.run(() => [...document.querySelectorAll('#timeline .key')].map(({ dataset }) => dataset.state))
      assert.deepEqual(states, ['retiring', 'active', 'published', 'to come', 'to come', 'to come'])
      const lag = await tab.run(() => {
        const slider = document.getElementById('slider-access_ttl')
        slider.value = '9'
        slider.dispatchEvent(new Event('input'))
        return document.querySelector('[data-sum=lag] strong').textContent
      })
      assert.equal(lag, '2 hours 6 minutes')
      await until(tab, () => document.querySelectorAll('#set .usable').length >= 3)
      assert.deepEqual(await tab.run(() => globalThis.problems), [])
    })

    test('one tab refreshes for both, and a logout in one ends the other', async () => {
      await openPage(tab, site, 'sessions.html')
      await haveStatus('logged out')
      await press(1, 'login')
      await haveStatus('logged in')
      await until(tab, (text) => document.querySelector('#log').textContent.includes(text), 'Tab 1 tells tab 2: the tokens')
      await tab.run(() => document.getElementById('clear').click())
      await tab.run(() => document.getElementById('expire').click())
      await until(tab, (text) => document.querySelector('#log').textContent.includes(text), ': the tokens')
      // The next tab that gets the lock does nothing.
      await new Promise((resolve) => setTimeout(resolve, 1500))
      assert.deepEqual(await tab.run(() => [...document.querySelectorAll('.counts dd')].map(({ textContent }) => Number(textContent))), [1, 1, 1])
      await press(2, 'logout')
      await haveStatus('logged out')
      assert.deepEqual(await tab.run(() => globalThis.problems), [])
    })

    const press = (number, id) => tab.run(({ number, id }) => document.getElementById(`tab-${number}`).contentDocument.getElementById(id).click(), { number, id })

    const haveStatus = (status) =>
      until(tab, (status) => [1, 2].every((number) => document.getElementById(`tab-${number}`).contentDocument.getElementById('status').textContent === status), status)
  })
}
