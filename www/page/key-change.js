import { el, svg } from './dom.js'
import { NOTICE_WITHIN } from './key-rules.js'
import { inWords } from './spans.js'

const BAR = 22
const TOP = 22
const NEXT_Y = 28
const OLD_Y = 92
const HEIGHT = 150

/**
 * Returns the intervals that add up to the lead and to the lag, each with the reason for it.
 *
 * @param {{ publish_lead: number, drop_lag: number, access_ttl: number, jwks_max_age: number, clock_skew: number }} plan
 */
export function reasonsOf({ publish_lead: lead, drop_lag: lag, access_ttl: ttl, jwks_max_age: age, clock_skew: skew }) {
  const caches = ['age', 'jwks_max_age', age, 'caches may hold the key set that long']
  const clocks = ['skew', 'clock_skew', skew, 'clocks may differ that much']
  const notice = ['others', 'to notice', NOTICE_WITHIN, 'another issuer on the database needs that long to see a change']
  // With status lists, the lifetime of a list counts instead of a shorter access_ttl.
  const longest = lag - lead
  const last =
    longest > ttl
      ? ['ttl', 'status list', longest, 'the last status list that the key signed has to expire']
      : ['ttl', 'access_ttl', ttl, 'the last access token that the key signed has to expire']
  return { lead: [notice, caches, clocks], lag: [notice, last, caches, clocks] }
}

/**
 * Draws one change of keys to scale: the next key, published for at least the lead, takes over from the old one, which stays
 * for the lag.
 *
 * @param {object} plan see `reasonsOf`
 * @param {number} width the pixels that there are
 */
export function drawChange(plan, width) {
  const { publish_lead: lead, drop_lag: lag } = plan
  const { lead: leads, lag: lags } = reasonsOf(plan)
  const total = (lead + lag) * 1.16
  const first = -lead - total * 0.07
  const x = (at) => ((at - first) / total) * width
  const bar = (name, from, to, y) => svg(`g.phase.${name}`, {}, svg('rect', { x: from + 0.5, y: y + 0.5, width: to - from - 1, height: BAR - 1, rx: 2 }))
  return svg(
    'svg.timeline.change',
    { width, height: HEIGHT, viewBox: `0 0 ${width} ${HEIGHT}`, 'aria-hidden': 'true', focusable: 'false' },
    bar('published', x(-lead), x(0), NEXT_Y),
    bar('active', x(0), width, NEXT_Y),
    ...stack(leads, -lead, x, NEXT_Y + BAR + 5),
    bar('active', 0, x(0), OLD_Y),
    bar('retiring', x(0), x(lag), OLD_Y),
    ...stack(lags, 0, x, OLD_Y + BAR + 5),
    svg('line.present', { x1: x(0), x2: x(0), y1: TOP - 4, y2: HEIGHT - 4 }),
    svg('text.present', { x: x(0), y: 12, 'text-anchor': x(0) > width - 60 ? 'end' : x(0) < 60 ? 'start' : 'middle' }, 'the change'),
    svg('text.on-active', { x: x(0) + 8, y: NEXT_Y + 15 }, width < 480 ? 'next key' : 'the next key signs'),
    ...(x(0) > 110 ? [svg('text.on-active', { x: 8, y: OLD_Y + 15 }, x(0) > 150 ? 'the old key signs' : 'old key')] : []),
  )
}

/** Says in words what the drawing shows. */
export function describeChange(plan) {
  const { lead, lag } = reasonsOf(plan)
  return el(
    'div.reasons',
    {},
    sum('Lead', 'The next key is published at least', plan.publish_lead, 'before it signs:', lead),
    sum('Lag', 'The old key stays', plan.drop_lag, 'after its last signature:', lag),
  )
}

function sum(name, before, seconds, after, parts) {
  return el(
    'div',
    { 'data-sum': name.toLowerCase() },
    el('h3', {}, name, ' ', el('span.size', {}, name === 'Lead' ? 'publish_lead' : 'drop_lag')),
    el('p', {}, `${before} `, el('strong', {}, inWords(seconds)), ` ${after}`),
    el('ul', {}, ...parts.map(([kind, setting, length, reason]) => el('li', {}, el(`span.swatch.${kind}`, { 'aria-hidden': 'true' }), el('span', {}, el('strong', {}, inWords(length)), ' ', el('code', {}, setting), `: ${reason}`)))),
  )
}

/** Draws the intervals one after the other. */
function stack(parts, start, x, y) {
  let at = start
  return parts.map(([kind, , length]) => {
    const from = at
    at += length
    return svg(`rect.part-of.${kind}`, { x: x(from) + 0.5, y, width: Math.max(x(at) - x(from) - 1, 0.5), height: 8 })
  })
}
