import { createSession } from 'countersign/session'
import { accountRequests } from './account-requests.js'
import { accountWords } from './account-words.js'
import { showPasskeys } from './account-passkeys.js'
import { showSessions } from './account-sessions.js'
import { showRecovery, showTotp } from './account-totp.js'
import { freshly } from './again.js'
import { demoIssuer } from './demo-issuer.js'
import { byId } from './dom.js'
import { startLogin } from './login-form.js'
import { guarded, say } from './notice.js'

/** The states in which only a login helps. */
const ENDED = ['not_logged_in', 'session_ended']

const demo = await demoIssuer().catch(() => undefined)
if (!demo) say('The demo’s server did not answer. Is it running? Start it with “cargo xtask start”, then load the page again.', 'error')
else start(demo)

function start({ issuer, username, password }) {
  const session = createSession({ issuer, mode: 'memory', origins: [new URL(issuer).origin] })
  const words = accountWords(issuer)
  const request = accountRequests(session, issuer)

  /** What the sections need: requests, and changes that are done one at a time and shown. */
  const account = {
    request,
    words,
    fresh: (action) => freshly(session, action, words),
    /** Runs the action of a button. What it resolves to is said, unless it is undefined: then the user gave up. */
    change: (button, action) => guarded(async () => {
      const section = button.closest('section')
      const done = await action()
      if (done === undefined) return
      await show()
      // The button may be gone, and the focus with it.
      if (document.activeElement === document.body) section.querySelector('h2').focus()
      say(done)
    }, button, words),
  }

  async function show() {
    const [factors, { sessions }] = await Promise.all([request('GET', '/factors'), request('GET', '/sessions')])
    showTotp(byId('totp'), factors, account)
    showPasskeys(byId('passkeys'), factors, account)
    showRecovery(byId('recovery'), factors, account)
    showSessions(byId('sessions'), sessions, account)
    byId('content').dataset.session = 'in'
  }

  function leave() {
    const wasIn = byId('content').dataset.session === 'in'
    byId('content').dataset.session = 'out'
    for (const dialog of document.querySelectorAll('dialog')) dialog.close()
    if (wasIn) byId('login').focus()
  }

  async function changePassword() {
    const form = byId('password-form')
    const { current, new: next } = Object.fromEntries(new FormData(form))
    await request('POST', '/password', { current_password: current, new_password: next })
    form.reset()
    return 'The password is changed. Your other sessions have ended. The demo’s page still fills in the old one.'
  }

  let shown
  startLogin(session, { username, password }, words, async () => {
    await shown
    byId('logout').focus()
  })
  byId('password-form').addEventListener('submit', (event) => {
    event.preventDefault()
    void account.change(byId('change-password'), changePassword)
  })
  byId('logout').addEventListener('click', () => guarded(() => session.logout(), byId('logout'), words))
  session.onChange(({ status, error }) => {
    if (ENDED.includes(status)) leave()
    if (status === 'active') shown = guarded(show, undefined, words)
    else if (status !== 'not_logged_in') say(words(error), 'error')
  })
}
