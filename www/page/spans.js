const UNITS = [
  ['d', 86_400, 'day'],
  ['h', 3600, 'hour'],
  ['m', 60, 'minute'],
  ['s', 1, 'second'],
]

/** Formats a duration as the issuer's configuration does: `90s`, `15m`, `30d`. */
export function settingOf(seconds) {
  const [unit, size] = UNITS.find(([, size]) => seconds >= size && seconds % size === 0) ?? ['s', 1]
  return `${seconds / size}${unit}`
}

/** Formats a duration in words, by its two largest units: `21 minutes 30 seconds`. */
export function inWords(seconds) {
  const first = UNITS.findIndex(([, size]) => seconds >= size)
  if (first < 0) return '0 seconds'
  const [[, size, name], [, smaller, smallerName] = []] = UNITS.slice(first, first + 2)
  const parts = [[Math.floor(seconds / size), name]]
  if (smaller !== undefined) parts.push([Math.floor((seconds % size) / smaller), smallerName])
  return parts.filter(([count]) => count > 0).map(([count, unit]) => `${count} ${unit}${count === 1 ? '' : 's'}`).join(' ')
}
