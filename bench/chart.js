// Draws the README's chart: one SVG that follows the reader's light or dark theme.

const COLUMNS = 2
const [WIDTH, PANEL_WIDTH, MARGIN, LABEL_WIDTH, VALUE_WIDTH] = [880, 420, 20, 140, 52]
const [ROW, TITLE, GAP, HEAD] = [18, 24, 18, 76]

const SUBTITLE =
  'RS256, 2048 bits, about 700 characters, one at a time, nothing cached; microseconds, less is better; each runtime has its own scale'

/** The style of every chart: it follows the theme of the reader. */
export const STYLE = `
    text { font: 12px system-ui, sans-serif; fill: #1f2328 }
    .title { font-size: 16px; font-weight: 600 }
    .panel { font-weight: 600 }
    .note { font-size: 11px; fill: #59636e }
    .label { text-anchor: end }
    .bar { fill: #afb8c1 }
    .ours { fill: #1a7f5a }
    .paper { fill: #ffffff }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6edf3 }
      .note { fill: #9198a1 }
      .bar { fill: #535c66 }
      .ours { fill: #3fb984 }
      .paper { fill: #0d1117 }
    }`

/** @returns {string} the text of an SVG file */
export function drawChart({ date, machine, versions, runtimes }) {
  const panels = runtimes.map(({ runtime, oneAtATime }) => ({ runtime, bars: barsOf(oneAtATime) }))
  const caption = captionOf({ date, machine, versions })
  const drawn = []
  let y = HEAD
  for (let first = 0; first < panels.length; first += COLUMNS) {
    const row = panels.slice(first, first + COLUMNS)
    drawn.push(...row.map((panel, column) => drawPanel(panel, MARGIN + column * PANEL_WIDTH, y)))
    y += TITLE + Math.max(...row.map(({ bars }) => bars.length)) * ROW + GAP
  }
  const height = y + caption.length * 15 + MARGIN
  const notes = caption.map((line, at) => text(MARGIN, height - MARGIN - (caption.length - 1 - at) * 15, line, 'note'))
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-labelledby="title desc">
  <title id="title">Time to verify one RS256 access token, by library and runtime</title>
  <desc id="desc">${escape(describe(panels))}</desc>
  <style>${STYLE}
  </style>
  <rect class="paper" width="${WIDTH}" height="${height}" rx="6"/>
  ${text(MARGIN, 28, 'Time to verify one access token', 'title')}
  ${text(MARGIN, 46, SUBTITLE, 'note')}
${drawn.join('\n')}
  ${notes.join('\n  ')}
</svg>
`
}

/** Returns each library in its fastest way, the fastest first. */
export function barsOf(results) {
  const best = new Map()
  for (const { name, ns } of results) {
    const library = name.replace(' (sync)', '')
    if (!library.startsWith('node:crypto')) best.set(library, Math.min(ns, best.get(library) ?? Infinity))
  }
  return [...best].map(([library, ns]) => ({ library, ns })).sort((a, b) => a.ns - b.ns)
}

function drawPanel({ runtime, bars }, x, y) {
  const longest = bars.at(-1).ns
  const room = PANEL_WIDTH - LABEL_WIDTH - VALUE_WIDTH - MARGIN
  const lines = bars.map(({ library, ns }, at) => {
    const top = y + TITLE + at * ROW
    const width = Math.max(1, (ns / longest) * room).toFixed(1)
    const bar = `<rect class="${library === 'countersign' ? 'ours' : 'bar'}" x="${x + LABEL_WIDTH}" y="${top - 10}" width="${width}" height="12" rx="2"/>`
    const value = text(x + LABEL_WIDTH + Number(width) + 6, top, (ns / 1000).toFixed(1))
    return `  ${text(x + LABEL_WIDTH - 8, top, library.replace(/^@\w+\//, ''), 'label')}${bar}${value}`
  })
  return [`  ${text(x + LABEL_WIDTH, y + 4, runtime, 'panel')}`, ...lines].join('\n')
}

function captionOf({ date, machine, versions }) {
  const listed = Object.entries(versions).map(([name, version]) => `${name} ${version}`)
  return [listed.join(', '), `${machine.processor}, ${machine.system}, ${date}; cargo xtask bench verify`]
}

function describe(panels) {
  return panels
    .map(({ runtime, bars }) => `${runtime}: ${bars.map(({ library, ns }) => `${library} ${(ns / 1000).toFixed(1)}`).join(', ')} microseconds.`)
    .join(' ')
}

export function text(x, y, content, name) {
  return `<text x="${x.toFixed(0)}" y="${y}"${name ? ` class="${name}"` : ''}>${escape(content)}</text>`
}

export function escape(content) {
  return content.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
}
