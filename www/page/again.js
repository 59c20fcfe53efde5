import { actionButton, actionForm, cancelButton, field, openDialog } from './dialog.js'
import { el } from './dom.js'
import { finishLogin } from './second-factor.js'
import { orRefused, UNKNOWN_PASSKEY } from './session-words.js'

/**
 * Runs an action. If the issuer wants a fresh authentication for it, asks the user for one, and runs the action again.
 *
 * @template T
 * @param {import('countersign/session').Session} session
 * @param {() => Promise<T>} action
 * @param {(error: Error) => string} words what to say of an error
 * @returns {Promise<T | undefined>} undefined if the user gave up
 */
export async function freshly(session, action, words) {
  try {
    return await action()
  } catch (error) {
    if (error.code !== 'insufficient_user_authentication') throw error
    if (await authenticateAgain(session, words)) return action()
  }
}

async function authenticateAgain(session, words) {
  const result = await openDialog('Confirm that it is you', (close) => {
    const byPasskey = actionButton('Use a passkey', async () => {
      await session.againWithPasskey()
      close({ step: undefined })
    }, orRefused(words, UNKNOWN_PASSKEY))
    return [
      el('p', {}, 'The last login is more than 10 minutes ago. For this change, the issuer wants a fresh one.'),
      actionForm({
        fields: [field('Password', 'password', { type: 'password', autocomplete: 'current-password' })],
        label: 'Continue',
        action: async ({ password }) => close({ step: await session.again({ password }) }),
        words: orRefused(words, 'The password is wrong.'),
        more: [byPasskey, cancelButton(close)],
      }),
    ]
  })
  return result !== undefined && finishLogin(result.step, words)
}
