import { show } from './show.js'
import type { Output } from './terminal.js'

/** Returns true if a token has a time to draw. */
export function hasTimes({ iat, nbf, exp }: Readonly<Record<string, unknown>>): boolean {
  return [iat, nbf, exp].some(Number.isFinite)
}

/** Draws the times of a token and the current time, in chronological order. */
export function drawTimes(output: Output, { iat, nbf, exp }: Readonly<Record<string, unknown>>, now: number): void {
  const moments = [
    { name: 'issued', at: iat },
    { name: 'valid from', at: nbf === iat ? undefined : nbf },
    { name: 'expires', at: exp },
    { name: 'now', at: now },
  ].filter((moment): moment is Moment => Number.isFinite(moment.at)).sort((a, b) => a.at - b.at)
  // `now` is last in the list, and the sort is stable. If `now` equals `exp`, it follows `expires`: the token has
  // expired.
  const good = (typeof exp !== 'number' || now < exp) && (typeof nbf !== 'number' || now >= nbf)

  output.line(`  ${axis(moments).replace('now', output.paint(good ? 'green' : 'red', 'now'))}`)
  output.line()
  output.table(moments.filter(({ name }) => name !== 'now').map(({ name, at }) => [name, date(at), distance(at - now)]))
}

interface Moment {
  name: string
  at: number
}

/** The total length of the lines between the moments, in characters. */
const AXIS_WIDTH = 36

/** Formats `issued ──── now ──────── expires`. The length of each line is proportional to its time. */
function axis(moments: readonly Moment[]): string {
  const first = moments[0]?.at ?? 0
  const span = (moments.at(-1)?.at ?? 0) - first || 1
  return moments.map(({ name, at }, index) => {
    const passed = at - (moments[index - 1]?.at ?? first)
    return index === 0 ? name : ` ${'─'.repeat(Math.max(2, Math.round((passed / span) * AXIS_WIDTH)))} ${name}`
  }).join('')
}

/** Formats seconds since the UNIX epoch, in UTC. */
function date(seconds: number): string {
  const value = new Date(seconds * 1000)
  return Number.isNaN(value.getTime()) ? show(seconds) : value.toISOString().replace('T', ' ').replace(/\.\d+Z$/, 'Z')
}

const UNITS = [['d', 86_400], ['h', 3600], ['min', 60], ['s', 1]] as const

/** Formats `in 10 min 50 s` or `3 d 4 h ago`. */
export function distance(seconds: number): string {
  if (Math.abs(seconds) < 1) return 'now'
  return seconds > 0 ? `in ${formatDuration(seconds)}` : `${formatDuration(-seconds)} ago`
}

/** Formats `10 min 50 s` or `3 d 4 h`: whole seconds, with at most two units. */
export function formatDuration(seconds: number): string {
  let rest = Math.floor(seconds)
  const parts: string[] = []
  for (const [unit, size] of UNITS) {
    if (parts.length < 2 && rest >= size) parts.push(`${Math.floor(rest / size)} ${unit}`)
    else if (parts.length > 0) break
    rest %= size
  }
  return parts.join(' ') || '0 s'
}
