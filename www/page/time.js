const DATE_TIME = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' })
const DATE = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit' })
const DAY = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short', year: 'numeric' })
const TIME = new Intl.DateTimeFormat(undefined, { timeStyle: 'medium' })

// Each formats UNIX seconds as a local date, time, or both, in the browser's language.
export const dateTime = format(DATE_TIME)
export const shortDate = format(DATE)
export const day = format(DAY)
export const timeOfDay = format(TIME)

/** Formats seconds as `m:ss`, or `h:mm:ss` from an hour up. Rounds up, so that 0:00 means that no time is left. */
export function duration(seconds) {
  const whole = Math.max(0, Math.ceil(seconds))
  const pad = (n) => String(n).padStart(2, '0')
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60]
  return h > 0 ? `${h}:${pad(m)}:${pad(s)}` : `${m}:${pad(s)}`
}

/** A forged time can be out of the range of dates, and is then shown as a number. */
function format(formatter) {
  return (seconds) => (Math.abs(seconds) < 8.64e12 ? formatter.format(seconds * 1000) : String(seconds))
}
