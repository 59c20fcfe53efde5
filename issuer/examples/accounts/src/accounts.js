// Users of the application: its own rules for registration, reset and deletion.
//
// The name of a user is an e-mail address, and a link that was sent there is the only way to a first or another password. So
// every user has shown that the address is theirs, and this server never sees a password.
import { randomBytes } from 'node:crypto'
import { Refusal } from './refusal.js'

/** The scope of new users: what they may do at the application's own API. */
const SCOPE = 'note'

/** The registrations and resets that may be under way. */
const MAX_JOBS = 100

export function createAccounts({ admin, mailbox, origin }) {
  let jobs = 0

  /**
   * Does the work after the answer: its time would tell if the address is known, and so would its errors.
   *
   * @throws {Refusal} 503 if the work cannot begin
   */
  async function later(work) {
    await admin.ready()
    if (jobs >= MAX_JOBS) throw new Refusal(503, 'temporarily_unavailable', 'There are too many requests. Please try again in a minute.', { 'retry-after': '60' })
    jobs++
    work()
      .catch((error) => console.error(`accounts: a mail was not sent: ${error.message}`))
      .finally(() => jobs--)
  }

  async function sendLink(user, subject, text) {
    const { token } = await admin.resetPassword(user.sub)
    // Behind #, so that no server and no proxy logs the token. `user.name` is the address that has registered: the one that was
    // typed may differ in characters that the issuer holds for the same.
    mailbox.send({ to: user.name, subject, text, link: `${origin}/#password=${token}` })
  }

  return {
    register: (email) => later(async () => {
      const known = await admin.userNamed(email)
      if (known !== undefined) {
        return sendLink(known, 'You have an account already', 'If you have forgotten its password, choose another one. The link works once, within an hour.')
      }
      // A password that nobody knows. The link replaces it.
      const user = await admin.addUser({ name: email, password: randomBytes(32).toString('base64url'), scope: SCOPE })
      await sendLink(user, 'Create your account', 'Choose a password. The link works once, within an hour.')
    }),

    resetPassword: (email) => later(async () => {
      const user = await admin.userNamed(email)
      if (user !== undefined) await sendLink(user, 'Choose another password', 'The link works once, within an hour. If you did not ask for it, do nothing.')
    }),

    remove: (sub) => admin.deleteUser(sub),
  }
}
