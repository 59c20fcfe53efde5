import { $, onSubmit } from './dom.js'
import { Problem } from './words.js'

/** Asks users to confirm who they are, for requests that need a fresh authentication (RFC 9470). */
export function createAgain(session) {
  const dialog = $('#again')
  /** The second step of the confirmation. */
  let step
  let done = () => {}

  /** Shows the forms that lead on, and closes the dialog after the last step. */
  function goOn(next) {
    step = next
    if (step === undefined) {
      done()
      return dialog.close()
    }
    show({ password: false, code: step.methods.includes('totp'), passkey: step.methods.includes('passkey') })
  }

  function show(forms) {
    for (const [name, isShown] of Object.entries(forms)) $(`#again-${name}`).hidden = !isShown
    $('form:not([hidden]) input', dialog)?.focus()
  }

  onSubmit($('#again-password'), async ({ password }) => {
    goOn(await session.again({ password }).catch((error) => {
      throw error.code === 'login_failed' ? new Problem('The password is wrong.') : error
    }))
  })
  onSubmit($('#again-code'), async ({ code }) => goOn(await step.code(code.replaceAll(/\s/g, ''))))
  onSubmit($('#again-passkey'), async () => goOn(await (step === undefined ? session.againWithPasskey() : step.passkey())))

  const again = {
    hasPasskey: false,

    /**
     * Runs the work. If it needs a fresh authentication, asks the user, and runs it again.
     *
     * @throws {Problem} if the user closes the dialog
     */
    async confirmed(work) {
      try {
        return await work()
      } catch (error) {
        if (error.code !== 'insufficient_user_authentication') throw error
      }
      await ask()
      return work()
    },
  }

  function ask() {
    step = undefined
    for (const form of dialog.querySelectorAll('form')) form.reset()
    for (const error of dialog.querySelectorAll('.error')) error.textContent = ''
    dialog.showModal()
    show({ password: true, code: false, passkey: again.hasPasskey })
    return new Promise((resolve, reject) => {
      done = resolve
      dialog.addEventListener('close', () => reject(new Problem('Nothing was changed.')), { once: true })
    })
  }

  return again
}
