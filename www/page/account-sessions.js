import { confirmed } from './dialog.js'
import { el } from './dom.js'
import { shortDate } from './time.js'

/** Shows the sessions of a user, and lets the user end them. */
export function showSessions(section, sessions, { request, change }) {
  const rows = sessions.map(({ id, created_at: created, last_used_at: used, network, user_agent: agent, current }) => {
    const button = el('button', { type: 'button', 'aria-label': `End the session of ${shortDate(created)}` }, 'End')
    button.addEventListener('click', () => change(button, async () => {
      if (!(await confirmed('End the session?', 'Its page has to log in again.', 'End it'))) return undefined
      await request('DELETE', `/sessions/${id}`)
      return 'The session has ended.'
    }))
    const place = [agent ?? 'An unknown program', network].filter(Boolean).join(', ')
    return el(
      'li',
      {},
      el('div', {}, el('strong', {}, place), el('span', {}, `Since ${shortDate(created)}, last used ${shortDate(used)}`)),
      el('div.buttons', {}, current ? el('span.current', {}, 'This session') : button),
    )
  })
  section.querySelector('.content').replaceChildren(el('ul.rows', {}, ...rows))
}
