// The ways in: login, second factor, passkey, registration, and the link to choose a password.
import { showCodes } from './codes.js'
import { $, onSubmit } from './dom.js'
import { forgetSecret, showSecret } from './enrolment.js'
import { send } from './requests.js'
import { Problem } from './words.js'

/**
 * @param {{ session: import('countersign/session').Session, issuer: string, go: (view: string, notice?: string) => void }} parts
 */
export function createEntrance({ session, issuer, go }) {
  /** The second step of a login, the new app of a user who has no second factor but needs one, and the token of a link. */
  let step, enrolment, link

  /** Goes on with the next step of a login, if there is one. Without, the session shows that it is active. */
  async function goOn(next) {
    step = next
    if (step === undefined) return
    if (step.methods.includes('totp_enrolment')) {
      enrolment = await step.enrol()
      showSecret($('#second-enrol'), enrolment)
    }
    for (const part of document.querySelectorAll('#view-second-factor [data-method]')) {
      part.hidden = !step.methods.includes(part.dataset.method)
    }
    $('#view-second-factor details').open = false
    go('second-factor')
  }

  onSubmit($('#log-in'), async ({ email, password }) => goOn(await session.login({ username: email, password })))
  onSubmit($('#log-in-passkey'), async () => goOn(await session.loginWithPasskey()))

  onSubmit($('#second-code'), async ({ code }) => goOn(await step.code(code.replaceAll(/\s/g, ''))))
  onSubmit($('#second-passkey'), async () => goOn(await step.passkey()))
  onSubmit($('#second-recovery'), async ({ code }) => goOn(await step.recoveryCode(code.trim())))

  onSubmit($('#second-enrol'), async ({ code }) => {
    const codes = await enrolment.confirm(code.replaceAll(/\s/g, ''))
    step = enrolment = undefined
    forgetSecret($('#second-enrol'))
    await showCodes(codes)
  })

  onSubmit($('#create'), async ({ email }) => {
    await send(fetch, 'POST', '/api/register', { email })
    go('sent')
  })
  onSubmit($('#forgot'), async ({ email }) => {
    await send(fetch, 'POST', '/api/password-reset', { email })
    go('sent')
  })

  onSubmit($('#choose-password'), async ({ password, again }) => {
    checkSame(password, again)
    await send(fetch, 'POST', `${issuer}/password/reset`, { token: link, new_password: password }).catch((error) => {
      if (error.code !== 'invalid_grant') throw error
      throw new Problem('This link was used, or it is too old. Ask for another one: “Forgot your password?”')
    })
    link = undefined
    // In this browser somebody may be logged in, whoever that is.
    await session.logout().catch(() => {})
    go('log-in', 'The password is saved. Please log in with it.')
  })

  return {
    hasStep: () => step !== undefined,
    hasLink: () => link !== undefined,
    takeLink(token) {
      link = token
    },
  }
}

/** @throws {Problem} if two passwords differ */
export function checkSame(password, again) {
  if (password !== again) throw new Problem('The two new passwords differ.')
}
