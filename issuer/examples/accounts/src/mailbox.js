// The mails of the application. Replace `send` by a call of your mail service, and remove the rest.

const MAX_MAILS = 50

/** Keeps the last mails in memory, newest first. The page /outbox shows them to everybody. */
export function createMailbox() {
  const mails = []
  return {
    /** @param {{ to: string, subject: string, text: string, link: string }} mail */
    send(mail) {
      mails.unshift({ ...mail, at: new Date() })
      mails.length = Math.min(mails.length, MAX_MAILS)
    },
    mails: () => [...mails],
  }
}
