// The sessions of the user.
import { $, element, onSubmit, say, when } from './dom.js'
import { inWords } from './words.js'

/** The sessions of a request. */
const PAGE = 20

export function createSessions({ atIssuer }) {
  let cursor

  async function load() {
    const query = new URLSearchParams({ limit: PAGE, ...(cursor && { cursor }) })
    const { sessions, next_cursor: next } = await atIssuer('GET', `/sessions?${query}`)
    cursor = next
    $('#sessions-more').hidden = next === undefined
    return sessions.map(row)
  }

  async function show() {
    cursor = undefined
    $('#sessions').replaceChildren(...(await load()))
  }

  onSubmit($('#sessions-more'), async () => $('#sessions').append(...(await load())))

  async function end(id) {
    try {
      await atIssuer('DELETE', `/sessions/${encodeURIComponent(id)}`).catch((error) => {
        // It has ended meanwhile.
        if (error.status !== 404) throw error
      })
      say('The session has ended.')
      await show()
    } catch (error) {
      say(inWords(error))
    }
  }

  function row({ id, created_at: created, last_used_at: used, user_agent: agent, network, current }) {
    const program = programOf(agent)
    const times = [`since ${when(created)}`, `last used ${when(used)}`, network].filter(Boolean).join(', ')
    const words = element('span', {}, element('strong', {}, program), element('small', {}, times))
    const label = `End the session of ${program} since ${when(created)}`
    const button = element('button', { type: 'button', ariaLabel: label, onclick: () => end(id) }, 'End')
    return element('li', {}, words, current ? element('em', {}, 'this one') : button)
  }

  return { show, close: () => $('#sessions').replaceChildren() }
}

/** Returns a short name for a `User-Agent`, which may say anything. */
function programOf(agent = '') {
  const browser = [['Edg', 'Edge'], ['OPR', 'Opera'], ['Firefox', 'Firefox'], ['Chrome', 'Chrome'], ['Safari', 'Safari']].find(([word]) => agent.includes(`${word}/`))
  const system = [['iPhone', 'iPhone'], ['iPad', 'iPad'], ['Android', 'Android'], ['Windows', 'Windows'], ['Mac OS X', 'Mac'], ['Linux', 'Linux']].find(([word]) => agent.includes(word))
  if (browser === undefined) return agent.slice(0, 40) || 'Unknown program'
  return system === undefined ? browser[1] : `${browser[1]} on ${system[1]}`
}
