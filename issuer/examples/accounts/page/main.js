// The page: one view at a time. The part of the URL behind # says which, if nobody is logged in.
import { createSession } from 'countersign/session'
import { createAccount } from './account.js'
import { $, say } from './dom.js'
import { createEntrance } from './entrance.js'
import { send } from './requests.js'
import { inWords } from './words.js'

const { issuer } = await send(fetch, 'GET', '/config.json')
// The session may send its access token to the application's own origin, and to the issuer's.
const session = createSession({ issuer, origins: [new URL(issuer).origin] })

const entrance = createEntrance({ session, issuer, go })
const account = createAccount({ session, issuer })

/** The views of people who are not logged in, by their names in the URL. */
const OPEN = ['log-in', 'second-factor', 'create', 'forgot', 'sent']

let shown

function go(view, notice = '') {
  say(notice)
  if (location.hash === `#${view}`) render()
  else location.hash = view
}

function render() {
  const name = location.hash.slice(1)
  if (name.startsWith('password=')) {
    entrance.takeLink(name.slice('password='.length))
    // The token stays neither in the address bar nor in the history.
    history.replaceState(null, '', '#password')
    return render()
  }
  if (name === 'password' && entrance.hasLink()) return show('password')
  const { status, error } = session.state
  if (status === 'active') return show('account')
  if (status === 'offline' || status === 'issuer_unavailable') {
    $('#away').textContent = inWords(error)
    return show('away')
  }
  if (status === 'starting') return show(undefined)
  const isReachable = OPEN.includes(name) && (name !== 'second-factor' || entrance.hasStep())
  show(isReachable ? name : 'log-in')
}

function show(view) {
  if (view === shown) return
  for (const section of document.querySelectorAll('[id^="view-"]')) section.hidden = section.id !== `view-${view}`
  $('#log-out').hidden = view !== 'account'
  if (view === 'account') {
    history.replaceState(null, '', '/')
    say('')
    account.open()
  } else if (shown === 'account') {
    account.close()
  }
  // Screen readers begin with the new view. The first one is not jumped to.
  if (shown !== undefined && view !== undefined) $('h1', $(`#view-${view}`)).focus()
  shown = view
}

$('#log-out').addEventListener('click', async () => {
  say('')
  await session.logout().catch((error) => say(inWords(error)))
})

addEventListener('hashchange', render)
session.onChange(({ status }) => {
  if (status === 'session_ended') say('Your session has ended. Please log in again.')
  render()
})
render()
