// The report of a run: one page, in which everything is on one time line.
import { PROMISES, quantile, timesOf } from './ledger.js'
import { MAX_STALE } from './edges.js'
import { REVOCATION_BOUND } from './judge.js'

const WIDTH = 1000
const HEIGHT = 120
const LEFT = 70
const COLOURS = ['#1668b8', '#b8470f', '#2c7a2c', '#7b3fa0', '#946c00', '#a02050']
const LANES = { core: 'issuers, database', edges: 'documents, edges' }

const STYLE = `body { font: 15px/1.5 system-ui, sans-serif; max-width: 1100px; margin: 2em auto; padding: 0 1em; color: #1c1c1c }
table { border-collapse: collapse; margin: 1em 0 } td, th { padding: 0.2em 1em 0.2em 0; text-align: left } td.n { text-align: right }
svg { width: 100%; height: auto; font-size: 12px } .good { color: #2c7a2c } .bad { color: #b00020 }`

/**
 * @param {import('./ledger.js').Ledger} ledger
 * @param {{ minutes: number, seed: number }} run
 * @returns {string} a page of HTML that needs no other file
 */
export function reportOf(ledger, { minutes, seed }) {
  const { violations, seconds } = ledger
  const verdict = violations.length === 0 ? '<p class="good">No violation.</p>' : `<p class="bad">${violations.length} violations.</p>`
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Soak, seed ${seed}</title>
<style>${STYLE}</style>
<h1>Soak: ${minutes} minutes, seed ${seed}</h1>
${verdict}
${timeline(ledger)}
<h2>Answers</h2>
${table(['', 'number'], Object.entries(ledger.counts))}
<h2>Latency</h2>
${table(['milliseconds', 'p50', 'p99', 'max'], ['verify', 'refresh'].map((kind) => latencyRow(kind, seconds)))}
<h2>From logout to refusal</h2>
<p>The bound is ${REVOCATION_BOUND} s, and ${REVOCATION_BOUND + MAX_STALE} s while an edge cannot fetch its list.</p>
${table(['seconds', 'p50', 'max', 'number'], Object.entries(ledger.revocations).map(revocationRow))}
<h2>Faults</h2>
${table(['', 'times'], Object.entries(timesOf(ledger.faults)))}
<h2>Violations</h2>
${violations.length === 0 ? '<p>None.</p>' : table(['second', 'promise', '', 'during'], violations.map(violationRow))}
</html>
`
}

/** Draws one chart below the other, with the same seconds. */
function timeline({ seconds, faults, violations }) {
  const end = Math.max(seconds.length, 1)
  const x = (second) => LEFT + (second / end) * (WIDTH - LEFT)
  const values = (kind, share) => seconds.map((second) => (second[kind].length > 0 ? quantile(second[kind], share) : undefined))
  const processes = [...new Set(seconds.flatMap(({ memory }) => Object.keys(memory ?? {})))]
  const charts = [
    chart('answers per second', x, { answers: seconds.map(({ done }) => done), 'without an answer': seconds.map(({ unanswered }) => unanswered) }),
    chart('verify, ms', x, { p50: values('verify', 0.5), p99: values('verify', 0.99) }),
    chart('refresh, ms', x, { p50: values('refresh', 0.5), p99: values('refresh', 0.99) }),
    chart('memory, MiB', x, Object.fromEntries(processes.map((name) => [name, seconds.map(({ memory }) => memory?.[name])]))),
  ]
  const rows = [
    ...Object.entries(LANES).map(([lane, title]) => bars(title, x, end, faults.filter((fault) => fault.lane === lane))),
    ...charts,
    axis(x, end),
  ]
  let top = 0
  const placed = rows.map(({ height, text }) => {
    const row = `<g transform="translate(0 ${top})">${text}</g>`
    top += height
    return row
  })
  const marks = violations.map(({ at, text }) => {
    return `<line x1="${x(at)}" x2="${x(at)}" y1="0" y2="${top}" stroke="#b00020"><title>${escape(text)}</title></line>`
  })
  return `<svg viewBox="0 0 ${WIDTH} ${top}" role="img" aria-label="time line">${placed.join('')}${marks.join('')}</svg>`
}

function bars(title, x, end, faults) {
  const shown = faults.map(({ name, from, to = end }) => {
    const width = Math.max(x(to) - x(from), 1)
    const label = `${escape(name)}, second ${from.toFixed(0)} to ${to.toFixed(0)}`
    return `<rect x="${x(from)}" y="4" width="${width}" height="20" fill="#b8470f" fill-opacity="0.5"><title>${label}</title></rect>`
  })
  const words = title.split(', ').map((line, index) => `<tspan x="0" dy="${index * 12}">${line}</tspan>`)
  return { height: 32, text: `<text y="12">${words.join('')}</text>${shown.join('')}` }
}

function chart(title, x, lines) {
  const most = Math.max(1, ...Object.values(lines).flat().filter((value) => value !== undefined))
  const y = (value) => HEIGHT - 10 - (value / most) * (HEIGHT - 40)
  const drawn = Object.entries(lines).map(([name, values], index) => {
    const colour = COLOURS[index % COLOURS.length]
    const points = values.flatMap((value, second) => (value === undefined ? [] : [`${x(second + 0.5).toFixed(1)},${y(value).toFixed(1)}`]))
    const label = `<text x="${LEFT + 130 * (index + 1)}" y="16" fill="${colour}">${escape(name)}</text>`
    return `${label}<polyline points="${points.join(' ')}" fill="none" stroke="${colour}"/>`
  })
  const scale = `<text x="0" y="${y(most) + 4}">${most.toFixed(0)}</text><text x="0" y="${y(0)}">0</text>`
  const line = `<line x1="${LEFT}" x2="${WIDTH}" y1="${y(0)}" y2="${y(0)}" stroke="#bbb"/>`
  return { height: HEIGHT, text: `<text x="0" y="16" font-weight="bold">${title}</text>${scale}${line}${drawn.join('')}` }
}

function axis(x, end) {
  const step = [10, 30, 60, 300, 600, 3600].find((step) => end / step <= 12) ?? 3600
  const marks = []
  for (let second = 0; second <= end; second += step) marks.push(`<text x="${x(second)}" y="14">${second} s</text>`)
  return { height: 20, text: marks.join('') }
}

function latencyRow(kind, seconds) {
  return [kind, ...quantiles(seconds.flatMap((second) => second[kind]), [0.5, 0.99, 1], 0)]
}

function revocationRow([edge, values]) {
  return [edge, ...quantiles(values, [0.5, 1], 1), values.length]
}

function quantiles(values, shares, digits) {
  return shares.map((share) => (values.length === 0 ? '' : quantile(values, share).toFixed(digits)))
}

function violationRow({ at, promise, text, during }) {
  return [at.toFixed(1), PROMISES[promise], text, during]
}

function table(heads, rows) {
  const cell = (value, index) => `<td${index > 0 && !Number.isNaN(Number(value)) ? ' class="n"' : ''}>${escape(String(value))}</td>`
  const head = heads.map((text) => `<th>${escape(text)}</th>`).join('')
  return `<table><tr>${head}</tr>${rows.map((row) => `<tr>${row.map(cell).join('')}</tr>`).join('')}</table>`
}

function escape(text) {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;')
}
