import { byId, el } from './dom.js'
import { timeOfDay } from './time.js'

/** The most entries on the page. */
const MOST = 60

/** The messages of `countersign/session` that the log shows. The others are about the lock. */
const MESSAGES = {
  ask: 'asks for the session',
  started: 'a refresh begins',
  tokens: 'the tokens',
  failed: 'the refresh failed',
  over: 'the session is over',
}

const REQUESTS = { '/login': 'login', '/token': 'refresh', '/logout': 'logout' }

/** Shows the events of the tabs as a diagram, the latest first, and counts them. */
export function createLog() {
  const counts = { requests: 0, refreshes: 0, shared: 0 }
  /** The entries of requests without an answer yet, by tab and number. */
  const open = new Map()
  /** The tab that sent a message, by its kind and turn. */
  const senders = new Map()

  const on = {
    request(tab, { id, path }) {
      counts.requests += 1
      if (path === '/token') counts.refreshes += 1
      const name = REQUESTS[path] ?? path
      const answer = el('span.answer', {}, '…')
      open.set(`${tab} ${id}`, answer)
      add(`request.${lanes(tab, 'issuer')}`, `Tab ${tab} asks the issuer`, el('strong', {}, name), ' ', el('code', {}, `POST ${path}`), ' ', answer)
    },
    answer(tab, { id, status }) {
      const answer = open.get(`${tab} ${id}`)
      open.delete(`${tab} ${id}`)
      answer.textContent = status === null ? 'no answer' : String(status)
      answer.classList.add(status !== null && status < 300 ? 'good' : 'bad')
    },
    sent(tab, { message, turn }) {
      // One message more or less is of no use: only the latest of a kind can arrive next.
      senders.set(message, { tab, turn })
    },
    received(tab, { message, turn }) {
      if (!Object.hasOwn(MESSAGES, message)) return
      const sender = senders.get(message)
      const from = sender !== undefined && sender.tab !== tab && sender.turn === turn ? sender.tab : undefined
      if (message === 'tokens') counts.shared += 1
      if (from === undefined) add('note', undefined, `Tab ${tab} hears from another tab of this browser: ${MESSAGES[message]}`)
      else add(`told.${lanes(from, tab)}`, `Tab ${from} tells tab ${tab}`, el('strong', {}, MESSAGES[message]))
    },
  }

  function add(classes, spoken, ...words) {
    const entry = el(
      `li.${classes}`,
      {},
      el('time', {}, timeOfDay(Date.now() / 1000)),
      el('p', {}, ...(spoken === undefined ? [] : [el('span.visually-hidden', {}, `${spoken}: `)]), ...words),
      el('span.arrow', { 'aria-hidden': 'true' }),
    )
    byId('log').prepend(entry)
    while (byId('log').children.length > MOST) byId('log').lastElementChild.remove()
    for (const [name, count] of Object.entries(counts)) byId(`count-${name}`).textContent = String(count)
  }

  return {
    /** Takes an event of a tab. */
    tell: (tab, event) => on[event.kind]?.(tab, event),
    note: (words) => add('note', undefined, words),
    clear() {
      byId('log').replaceChildren()
      Object.assign(counts, { requests: 0, refreshes: 0, shared: 0 })
      for (const name of Object.keys(counts)) byId(`count-${name}`).textContent = '0'
    },
  }
}

function lanes(from, to) {
  return `from-${from}.to-${to}`
}
