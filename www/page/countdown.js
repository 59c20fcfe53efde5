import { el, svg } from './dom.js'
import { duration, timeOfDay } from './time.js'

const RADIUS = 44
const ROUND = 2 * Math.PI * RADIUS

/**
 * Makes a ring that empties during a token's lifetime, with the remaining time in its middle.
 *
 * @param {HTMLElement} place
 * @param {() => number} now returns the time in UNIX seconds
 * @returns {{ start(times: { issuedAt: number, expiresAt: number }, onExpired: () => void): void, stop(): void }}
 *   UNIX seconds; `onExpired` is called once, when `now()` has reached the expiry, even if timers are late
 */
export function createCountdown(place, now) {
  const left = svg('circle.left', { cx: 50, cy: 50, r: RADIUS, 'stroke-dasharray': ROUND })
  const time = el('span.time')
  const until = el('span.until')
  place.replaceChildren(
    svg('svg', { viewBox: '0 0 100 100', 'aria-hidden': 'true' }, svg('circle.track', { cx: 50, cy: 50, r: RADIUS }), left),
    el('p', {}, time, until),
  )
  let timer
  let tick

  document.addEventListener('visibilitychange', () => tick?.())

  const stop = () => {
    clearInterval(timer)
    tick = undefined
  }
  const start = ({ issuedAt, expiresAt }, onExpired) => {
    stop()
    tick = () => {
      const seconds = expiresAt - now()
      const expired = seconds <= 0
      const share = Math.min(Math.max(seconds / (expiresAt - issuedAt), 0), 1)
      left.setAttribute('stroke-dashoffset', String(ROUND * (1 - share)))
      place.classList.toggle('expired', expired)
      place.classList.toggle('soon', !expired && seconds <= 60)
      time.textContent = expired ? 'Expired' : duration(seconds)
      until.textContent = `${expired ? 'at' : 'until'} ${timeOfDay(expiresAt)}`
      if (expired) {
        stop()
        onExpired()
      }
    }
    timer = setInterval(() => tick?.(), 250)
    tick()
  }
  return { start, stop }
}
