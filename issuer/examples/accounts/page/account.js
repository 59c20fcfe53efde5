// The account of the user who is logged in.
import { createAgain } from './again.js'
import { showCodes } from './codes.js'
import { $, onSubmit, say } from './dom.js'
import { checkSame } from './entrance.js'
import { createPasskeys } from './passkeys.js'
import { send } from './requests.js'
import { createSessions } from './sessions.js'
import { createTotp } from './totp.js'
import { inWords, Problem } from './words.js'

/** The application deletes an account only so many seconds after the user has shown who they are. */
const FRESH_SECONDS = 300

/** @param {{ session: import('countersign/session').Session, issuer: string }} parts */
export function createAccount({ session, issuer }) {
  const again = createAgain(session)
  const own = (method, path, body) => send(session.fetch, method, path, body)
  const atIssuer = (method, path, body, init) => send(session.fetch, method, issuer + path, body, init)
  /** Like `atIssuer`. If the issuer wants it, the user first confirms who they are. */
  const confirmed = (method, path, body) => again.confirmed(() => atIssuer(method, path, body))

  const parts = { atIssuer, confirmed, showFactors }
  const totp = createTotp(parts)
  const passkeys = createPasskeys(parts)
  const sessions = createSessions(parts)

  async function showFactors() {
    const factors = await atIssuer('GET', '/factors')
    again.hasPasskey = factors.passkeys.length > 0
    totp.show(factors)
    passkeys.show(factors)
    $('#recovery').hidden = factors.totp === null && factors.passkeys.length === 0
    $('#recovery-state').textContent = `You have ${factors.recovery_codes} of them left. Each replaces your authenticator app or passkey once.`
  }

  async function showNote() {
    const { text } = await own('GET', '/api/note')
    setNote(text, false)
  }

  /** Before the note is there, nobody can write: it would be overwritten. */
  function setNote(text, disabled) {
    Object.assign($('#note textarea'), { value: text, defaultValue: text, disabled })
  }

  onSubmit($('#recovery-renew'), async () => {
    const { recovery_codes: codes } = await confirmed('POST', '/recovery-codes', {})
    await showFactors()
    await showCodes(codes)
  })

  onSubmit($('#note'), async ({ text }) => {
    await own('PUT', '/api/note', { text })
    say('The note is saved.')
    // The form keeps this text when it is reset.
    $('#note textarea').defaultValue = text
  })

  onSubmit($('#change-password'), async ({ current, password, again: repeated }) => {
    checkSame(password, repeated)
    // The cookie of a known device keeps strangers from locking this browser out.
    const init = { credentials: 'include' }
    await atIssuer('POST', '/password', { current_password: current, new_password: password }, init).catch((error) => {
      throw error.code === 'invalid_grant' ? new Problem('The current password is wrong.') : error
    })
    say('The password is changed. All other sessions have ended.')
    await sessions.show()
  })

  onSubmit($('#delete-account'), async () => {
    await again.confirmed(async () => {
      const token = await session.accessToken({ maxAge: FRESH_SECONDS })
      await send(fetch, 'DELETE', '/api/account', undefined, { headers: { authorization: `Bearer ${token}` } })
    })
    // Its session is gone at the issuer. This removes the cookie.
    await session.logout()
    say('The account is deleted.')
  })

  return {
    async open() {
      // A part that fails leaves the others alone.
      for (const { reason } of await Promise.allSettled([showNote(), showFactors(), sessions.show()])) {
        if (reason !== undefined) say(inWords(reason))
      }
    },

    /** The next user of this browser shall see nothing of this one. */
    close() {
      for (const form of document.querySelectorAll('#view-account form')) form.reset()
      setNote('', true)
      totp.close()
      passkeys.close()
      sessions.close()
      for (const dialog of document.querySelectorAll('dialog[open]')) dialog.close()
    },
  }
}
