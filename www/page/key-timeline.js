import { svg } from './dom.js'
import { stateAt } from './key-rules.js'
import { day, shortDate } from './time.js'

const TOP = 22
const BAR = 18
const NARROW = 560
const NAME_WIDTH = 112
/** The height of a row: on narrow screens the name of the key is above its bar. */
const ROW = { wide: 40, narrow: 56 }
const AXIS = 34
/** The least width of a phase: a lag of minutes would be invisible beside a period of weeks. */
const LEAST = 3
/** The width of the word in a bar, with its margin. */
const WORD = { published: 74, active: 54, retiring: 62 }

/**
 * Draws the past and future of keys on one time line, for readers who see it. The table beside it says the same.
 *
 * @param {{ now: number, keys: import('./key-rules.js').Life[], publish_lead: number, drop_lag: number }} plan
 * @param {number} width the pixels that there are
 * @returns {SVGElement}
 */
export function drawTimeline(plan, width) {
  const narrow = width < NARROW
  const row = narrow ? ROW.narrow : ROW.wide
  const left = narrow ? 0 : NAME_WIDTH
  const { first, end } = range(plan)
  const x = (at) => left + ((at - first) / (end - first)) * (width - left - 1)
  const height = TOP + plan.keys.length * row
  return svg(
    'svg.timeline',
    { width, height: height + AXIS, viewBox: `0 0 ${width} ${height + AXIS}`, 'aria-hidden': 'true', focusable: 'false' },
    ...axis(first, end, x, height, narrow),
    ...plan.keys.map((life, i) => drawKey(life, plan, { x, end, top: TOP + i * row, narrow })),
    ...present(x(plan.now), width, height),
    // After the line of the present, which would cross them.
    ...plan.keys.map((life, i) => keyName(life, narrow ? { x: x(life.created_at), y: TOP + i * row + 14 } : { x: 0, y: TOP + i * row + 19 }, x(end))),
  )
}

/** Returns the first and the last time on the line, with space for phases without an end. */
function range({ now, keys }) {
  const times = keys.flatMap((life) => [life.created_at, life.activates_at, life.retires_at, life.drops_at]).filter((at) => at !== null)
  const [first, last] = [Math.min(now, ...times), Math.max(now, ...times)]
  return { first, end: last + (last - first) / 12 + 1 }
}

function drawKey(life, { now, publish_lead: lead, drop_lag: lag }, { x, end, top, narrow }) {
  const { created_at: created, activates_at: activates, retires_at: retires, drops_at: drops } = life
  const y = narrow ? top + 20 : top + 6
  const state = stateAt(life, now)
  const phases = [
    ['published', created, activates],
    ['active', activates, retires],
    ['retiring', retires, drops],
  ]
  // The first key of an issuer signs at once.
  const waited = activates !== created
  return svg(
    'g.key',
    { 'data-kid': life.kid ?? '', 'data-state': state },
    ...phases.filter(([, from, to]) => from !== null && from !== to).map(([name, from, to]) => phase(name, x(from), x(to ?? end), y, name === state)),
    ...(waited ? [interval('lead', x(created), x(Math.min(created + lead, end)), y + BAR + 4)] : []),
    ...(retires === null ? [] : [interval('lag', x(retires), x(Math.min(retires + lag, end)), y + BAR + 4)]),
  )
}

/** Writes the name of a key, to the left of the point if there is no space to its right. */
function keyName(life, { x, y }, right) {
  const isLast = right - x < NAME_WIDTH
  return svg('text.key-name', { x: isLast ? right : x, y, 'text-anchor': isLast ? 'end' : 'start' }, nameOf(life))
}

function phase(name, from, to, y, isNow) {
  const width = Math.max(to - from, LEAST)
  return svg(
    `g.phase.${name}${isNow ? '.now' : ''}`,
    {},
    svg('rect', { x: from + 0.5, y: y + 0.5, width: Math.max(width - 1, 1), height: BAR - 1, rx: 2 }),
    ...(width > WORD[name] ? [svg('text', { x: from + 7, y: y + 13 }, name)] : []),
  )
}

/** Draws a bracket below the bar. */
function interval(name, from, to, y) {
  return svg(`path.interval.${name}`, { d: `M${from + 0.5} ${y - 3}v3h${Math.max(to - from - 1, LEAST)}v-3` })
}

function present(x, width, height) {
  const atEnd = x > width - 40
  return [
    svg('line.present', { x1: x, x2: x, y1: 16, y2: height + 6 }),
    svg('text.present', { x: x + (atEnd ? 4 : 0), y: 12, 'text-anchor': atEnd ? 'end' : x < 20 ? 'start' : 'middle' }, 'now'),
  ]
}

function axis(first, end, x, y, narrow) {
  const parts = narrow ? 2 : 5
  const format = end - first > 3 * 86_400 ? day : shortDate
  return Array.from({ length: parts }, (_, i) => first + ((end - first) * i) / parts).flatMap((at) => [
    svg('line.tick', { x1: x(at), x2: x(at), y1: TOP, y2: y + 8 }),
    svg('text.tick', { x: x(at) + 3, y: y + 20 }, format(at)),
  ])
}

/** The name of a key on the page: the start of its kid, or its number in the example. */
export function nameOf({ kid }) {
  if (kid === null) return 'to come'
  return kid.length > 10 ? `${kid.slice(0, 9)}…` : kid
}
