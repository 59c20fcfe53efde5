import { demoIssuer } from './demo-issuer.js'
import { byId } from './dom.js'
import { createExample } from './keys-example.js'
import { createLive } from './keys-live.js'
import { showPlan } from './keys-plan.js'
import { showKeySet } from './keys-set.js'
import { say } from './notice.js'

const demo = await demoIssuer().catch(() => null)
const example = createExample({ shown: (plan) => show('example', plan), setShown: (set) => showSet('example', set) })
const live = demo && createLive(demo, { shown: (plan) => show('issuer', plan), setShown: (set) => showSet('issuer', set), failed: (error) => say(error.message, 'error') })
let chosen = live === null ? 'example' : 'issuer'
/** The plan on the page, which is drawn again if the width changes. */
let plan

byId('choice').hidden = live === null
byId('choice').addEventListener('change', ({ target }) => choose(target.value))
new ResizeObserver(() => plan && showPlan(plan)).observe(byId('timeline'))
choose(chosen)

function choose(name) {
  chosen = name
  say('')
  byId('settings').hidden = name !== 'example'
  byId('line-about').textContent =
    name === 'issuer'
      ? `What ${demo.issuer} has done with its keys, and what it will do if nobody asks for a change.`
      : 'An issuer that has run for a while, on this page alone: the arithmetic is the issuer’s.'
  byId('set-about').textContent =
    name === 'issuer'
      ? 'Every verifier fetches this set. Each key is checked as “countersign lint” does.'
      : 'The keys that the issuer would publish at this moment. Your browser has made them; each is checked as “countersign lint” does.'
  live?.run(name === 'issuer')
  if (name === 'example') example.run()
}

function show(name, next) {
  if (name !== chosen) return
  plan = next
  showPlan(plan)
}

function showSet(name, set) {
  if (name === chosen) void showKeySet(byId('set'), set)
}
