// Draws the chart of docs/scale.md: the fetches of each second after a start of all verifiers at once.
import { escape, STYLE, text } from '../chart.js'

const [WIDTH, LEFT, RIGHT, HEAD, FOOT] = [880, 56, 20, 64, 60]
const [PANEL, GAP] = [120, 44]

/** The seconds that one bar stands for. It has the height of the greatest of them. */
const SECONDS_OF_BAR = 6

const TITLE = 'Fetches of the key set after all verifiers start at once'

/**
 * @param {Record<string, number[]>} series by name: for each second, the part of the verifiers that fetch
 * @param {{ points: number, isolates: number, rate: number }} setting
 * @returns {string} the text of an SVG file
 */
export function drawWaves(series, { points, isolates, rate }) {
  const height = HEAD + Object.keys(series).length * (PANEL + GAP) + FOOT - GAP
  const panels = Object.entries(series).map(([name, parts], at) => drawPanel(name, parts, at))
  const caption = `${points * isolates} verifiers, ${rate} tokens a second for each, max-age=300; node bench/scale.js fleet --save`
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-labelledby="title desc">
  <title id="title">${TITLE}</title>
  <desc id="desc">${escape(describe(series))}</desc>
  <style>${STYLE}
  </style>
  <rect class="paper" width="${WIDTH}" height="${height}" rx="6"/>
  ${text(20, 28, TITLE, 'title')}
  ${text(20, 46, 'percent of the verifiers that fetch in the same second', 'note')}
${panels.join('\n')}
  ${text(20, height - 14, caption, 'note')}
</svg>
`
}

function drawPanel(name, parts, at) {
  const top = HEAD + at * (PANEL + GAP)
  const bottom = top + PANEL
  const width = ((WIDTH - LEFT - RIGHT) * SECONDS_OF_BAR) / parts.length
  const heights = peaksOf(parts).map((part) => part * PANEL)
  const bars = heights.map((height, bar) => {
    return `M${(LEFT + bar * width).toFixed(1)} ${bottom}v${(-height).toFixed(1)}h${width.toFixed(1)}V${bottom}`
  })
  const percents = [0, 50, 100].map((percent) => text(20, bottom - (percent / 100) * PANEL + 4, `${percent} %`, 'note'))
  const minutes = Array.from({ length: parts.length / 600 }, (_, tens) => tens * 10)
  const times = minutes.map((minute) => text(LEFT + (minute * 60 * width) / SECONDS_OF_BAR, bottom + 16, `${minute} min`, 'note'))
  const path = `<path class="${at === 0 ? 'bar' : 'ours'}" d="${bars.join('')}"/>`
  return `  ${text(LEFT + 80, top + 8, name, 'panel')}${path}${percents.join('')}${times.join('')}`
}

function peaksOf(parts) {
  return Array.from({ length: Math.ceil(parts.length / SECONDS_OF_BAR) }, (_, at) =>
    Math.max(...parts.slice(at * SECONDS_OF_BAR, (at + 1) * SECONDS_OF_BAR)))
}

function describe(series) {
  return Object.entries(series)
    .map(([name, parts]) => [name, (100 * Math.max(...parts.slice(60))).toFixed(0)])
    .map(([name, percent]) => `${name}: at most ${percent} percent in one second after the first minute.`)
    .join(' ')
}
