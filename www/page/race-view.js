import { el } from './dom.js'

/** With reduced motion, the bars move when the leader has come this share of the way further. */
const STEP = 0.25

/**
 * Makes a lane for each contestant: a bar, and figures under it.
 *
 * @param {HTMLElement} place
 * @param {Record<string, string>} about a few words on each contestant, by its name
 * @param {() => boolean} isCalm true for a reader who wants less motion
 * @returns {{ clear(): void, show(results: ReturnType<typeof import('./race-results.js').compare>, length: number, isLast?: boolean): void }}
 */
export function createLanes(place, about, isCalm) {
  const lanes = new Map()
  let shownLead = 0
  for (const [name, words] of Object.entries(about)) {
    const fill = el('span.fill')
    const figures = el('span.figures', {}, '–')
    lanes.set(name, { fill, figures })
    place.append(
      el('li', { 'data-lane': name }, el('span.name', {}, name, ' ', el('span.about', {}, words)), el('span.bar', { 'aria-hidden': 'true' }, fill), figures),
    )
  }

  function clear() {
    shownLead = 0
    for (const { fill, figures } of lanes.values()) {
      setShare(fill, 0)
      figures.textContent = '–'
    }
  }

  function show(results, length, isLast = false) {
    const lead = Math.max(...results.map(({ count }) => count)) / length
    if (isCalm() && !isLast && lead < shownLead + STEP) return
    shownLead = lead
    for (const result of results) {
      const { fill, figures } = lanes.get(result.name)
      setShare(fill, result.count / length)
      figures.textContent = figuresOf(result, result === results[0])
    }
  }

  return { clear, show }
}

/** By the object model: the Content-Security-Policy forbids styles in attributes. */
function setShare(fill, share) {
  fill.style.setProperty('--share', String(Math.min(share, 1)))
}

function figuresOf({ count, median, perSecond, ratio }, isFirst) {
  const figures = [`${microseconds(median)} a token`, `${Math.round(perSecond).toLocaleString()} a second`, `${count.toLocaleString()} verified`]
  return [...figures, ...(isFirst ? [] : [`${ratioText(ratio)} × the time`])].join(' · ')
}

/**
 * Says the result in words.
 *
 * @param {ReturnType<typeof import('./race-results.js').compare>} results
 */
export function summaryOf(results) {
  const [first, ...others] = results
  if (!Number.isFinite(first.median)) return 'Stopped before the first round.'
  const winner = results.reduce((best, one) => (one.median < best.median ? one : best))
  const ratios = others.map(({ name, ratio }) => `${name} takes ${ratioText(ratio)} times as long as countersign`).join(', ')
  return `The fastest is ${winner.name}, with ${microseconds(winner.median)} a token. ${ratios}.`
}

function ratioText(ratio) {
  return ratio.toFixed(ratio < 10 ? 2 : 1)
}

function microseconds(milliseconds) {
  const value = milliseconds * 1000
  return `${value < 100 ? value.toFixed(1) : Math.round(value).toLocaleString()} µs`
}
