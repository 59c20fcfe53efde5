import { el } from './dom.js'
import { timeOfDay } from './time.js'

/**
 * Shows the sequence of a session's tokens. Refresh tokens are secrets: only their number is shown.
 *
 * @param {HTMLElement} place
 * @param {{ jti: string, exp: number }[]} history the payloads of the session's access tokens, oldest first
 */
export function showSession(place, history) {
  const rows = history.map(({ jti, exp }, i) => ({ number: i + 1, jti, exp, current: i === history.length - 1 })).slice(-4).reverse()
  place.replaceChildren(
    el('p', {}, 'Each refresh exchanges the refresh token for a new pair. The old one no longer works. The page refreshes by itself when a fifth of the time is left.'),
    el(
      'table',
      {},
      el('thead', {}, el('tr', {}, ...['Refresh token', 'Access token', 'Expires'].map((name) => el('th', { scope: 'col' }, name)))),
      el(
        'tbody',
        {},
        ...rows.map(({ number, jti, exp, current }) =>
          el(
            current ? 'tr.current' : 'tr',
            {},
            el('th', { scope: 'row' }, `No. ${number} `, el('span', {}, current ? 'in hand' : 'used')),
            el('td', {}, el('code', { title: jti }, `${String(jti).slice(0, 8)}…`)),
            el('td', {}, timeOfDay(exp)),
          ),
        ),
      ),
    ),
  )
}
