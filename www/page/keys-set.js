import { createVerifier } from 'countersign'
import { describe, examineAll, problemOf } from 'countersign/cli/findings'
import { el } from './dom.js'
import { stateAt } from './key-rules.js'
import { nameOf } from './key-timeline.js'

let shown

/**
 * Shows the keys of a set, each with its state and the verdict of `countersign lint`.
 *
 * @param {HTMLElement} place
 * @param {{ keys: object[], lives: import('./key-rules.js').Life[], now: number }} set
 */
export async function showKeySet(place, { keys, lives, now }) {
  const states = keys.map(({ kid }) => {
    const life = lives.find((life) => life.kid === kid)
    return life && stateAt(life, now)
  })
  // Without changes the list is not rebuilt, so that a text selection stays.
  const current = JSON.stringify([keys, states])
  if (current === shown) return
  shown = current
  const findings = await examineAll({ keys }, createVerifier)
  if (current === shown) place.replaceChildren(el('ul.key-set', {}, ...findings.map((finding, i) => item(finding, states[i]))))
}

function item({ key, refusal, secret, warnings }, state) {
  const faults = [...(refusal === undefined ? [] : [problemOf(refusal)]), ...(secret ? ['it is private or secret: replace it'] : []), ...warnings]
  return el(
    'li',
    { 'data-kid': key.kid ?? '' },
    el(
      'p.key-title',
      {},
      el('code', { title: key.kid ?? '' }, nameOf({ kid: key.kid ?? '(no kid)' })),
      ...(state === undefined ? [] : [el(`span.state.${state}`, {}, state)]),
      el(`span.verdict.${refusal === undefined ? 'usable' : 'refused'}`, {}, refusal === undefined ? 'usable' : 'not usable'),
    ),
    el('p.key-facts', {}, [describe(key), key.alg, key.use && `use: ${key.use}`].filter(Boolean).join(' · ')),
    ...(faults.length === 0 ? [] : [el('ul.faults', {}, ...faults.map((fault) => el('li', {}, fault)))]),
    el('details', {}, el('summary', {}, 'The key as JSON'), el('pre', { tabindex: '0' }, el('code', {}, JSON.stringify(key, null, 2)))),
  )
}
