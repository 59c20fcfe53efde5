import { byId, el } from './dom.js'
import { describeChange, drawChange } from './key-change.js'
import { stateAt } from './key-rules.js'
import { drawTimeline, nameOf } from './key-timeline.js'
import { shortDate } from './time.js'

/** The text of the table that is shown. */
let shown

/** Shows a plan in the shape of `keys plan --json`: as a time line, as a table, and one change close up. */
export function showPlan(plan) {
  const width = Math.floor(byId('timeline').clientWidth)
  if (width === 0) return
  byId('timeline').replaceChildren(drawTimeline(plan, width))
  showTable(plan)
  byId('change').replaceChildren(drawChange(plan, Math.floor(byId('change').clientWidth)))
  byId('reasons').replaceChildren(describeChange(plan))
}

/** Without changes the table is not rebuilt, so that a text selection stays. */
function showTable(plan) {
  const current = JSON.stringify(plan.keys.map((life) => [life, stateAt(life, plan.now)]))
  if (current === shown) return
  shown = current
  byId('table').replaceChildren(...table(plan))
}

function table({ now, keys }) {
  const row = (life) =>
    el(
      'tr',
      { 'data-kid': life.kid ?? '' },
      el('th', { scope: 'row' }, el('code', life.kid === null ? {} : { title: life.kid }, nameOf(life))),
      el(`td.is.${stateAt(life, now).replace(' ', '-')}`, {}, stateAt(life, now)),
      ...[life.created_at, life.activates_at, life.retires_at, life.drops_at].map((at) => el('td', {}, at === null ? 'not yet set' : shortDate(at))),
    )
  return [
    el('caption.visually-hidden', {}, 'The keys, with the times of their states'),
    el('thead', {}, el('tr', {}, ...['Key', 'Now', 'Published', 'Active', 'Retiring', 'Gone'].map((name) => el('th', { scope: 'col' }, name)))),
    el('tbody', {}, ...keys.map(row)),
  ]
}
