import { actionButton, actionForm, cancelButton, field, openDialog } from './dialog.js'
import { el } from './dom.js'
import { qrCode } from './qr-code.js'

/**
 * Finishes a login in dialogs, if a step is left.
 *
 * @param {import('countersign/session').SecondFactor | undefined} step the result of `session.login` or `session.again`
 * @param {(error: Error) => string} words what to say of an error
 * @returns {Promise<boolean>} false if the user gave up
 */
export async function finishLogin(step, words) {
  if (step === undefined) return true
  if (!step.methods.includes('totp_enrolment')) {
    const result = await prove(step, words)
    if (result instanceof Error) throw result
    return result === true
  }
  const codes = await setUpTotp('Set up a second factor', 'This account needs a second factor.', await step.enrol(), words)
  if (codes === undefined) return false
  await showRecoveryCodes(codes)
  return true
}

/**
 * Lets the user put a TOTP into an app, and confirm it.
 *
 * @param {string} title
 * @param {string} reason
 * @param {import('countersign/session').Enrolment} enrolment
 * @param {(error: Error) => string} words
 * @returns {Promise<readonly string[] | undefined>} the recovery codes, or undefined if the user gave up
 */
export function setUpTotp(title, reason, { secret, uri, confirm }, words) {
  return openDialog(title, (close) => [
    el('p', {}, `${reason} Scan the picture with an authenticator app, or type the key into it.`),
    qrCode(uri, 'QR code of the key, for an authenticator app'),
    el('p.secret', {}, el('span', {}, 'Key'), el('code', { translate: 'no', id: 'totp-secret' }, secret.replaceAll(/(.{4})(?=.)/g, '$1 '))),
    actionForm({
      fields: [codeField('Code of the app')],
      label: 'Confirm',
      action: async ({ code }) => close(await confirm(plain(code))),
      words,
      more: [cancelButton(close)],
    }),
  ])
}

/** Shows recovery codes, which the issuer tells only once. */
export function showRecoveryCodes(codes) {
  if (codes.length === 0) return undefined
  return openDialog('Your recovery codes', (close) => {
    const told = el('p', { role: 'status' })
    const copy = actionButton('Copy', async () => {
      await navigator.clipboard.writeText(codes.join('\n'))
      told.textContent = 'Copied.'
    }, () => 'The browser does not let the page copy. Select the codes instead.')
    const print = actionButton('Print', async () => window.print(), String)
    return [
      el('p', {}, 'Each of them logs you in once without the app or the passkey. They are shown only now: keep them where nobody else finds them.'),
      el('ol.codes', { translate: 'no' }, ...codes.map((code) => el('li', {}, el('code', {}, code)))),
      actionForm({ fields: [told], label: 'I have kept them', action: async () => close(), words: String, more: [copy, print] }),
    ]
  })
}

/** Asks for a code, a recovery code or a passkey, until one is right. Resolves to true, to undefined if the user gave up, or to an error. */
function prove(step, words) {
  return openDialog('Second factor', (close) => {
    const has = (method) => step.methods.includes(method)
    const finish = async (proof) => {
      try {
        await proof
        close(true)
      } catch (error) {
        if (error.code !== 'login_expired') throw error
        close(error)
      }
    }
    const passkey = () => finish(step.passkey())
    const code = codeField('Code of the app')
    const recovery = field('Recovery code', 'recovery', { autocomplete: 'off', autocapitalize: 'none', spellcheck: 'false' })
    const place = el('div', {}, has('totp') ? code : recovery)
    const other = actionButton('Use a recovery code', async () => {
      place.replaceChildren(recovery)
      recovery.querySelector('input').focus()
      other.remove()
    }, words)
    if (!has('totp') && !has('recovery_code')) {
      return [el('p', {}, 'Your account asks for your passkey.'), actionForm({ fields: [], label: 'Use a passkey', action: passkey, words, more: [cancelButton(close)] })]
    }
    return [
      el('p', {}, 'Your account asks for more than the password.'),
      actionForm({
        fields: [place],
        label: 'Continue',
        action: ({ code, recovery }) => finish(recovery === undefined ? step.code(plain(code)) : step.recoveryCode(recovery.trim())),
        words,
        more: [
          ...(has('passkey') ? [actionButton('Use a passkey', passkey, words)] : []),
          ...(has('totp') && has('recovery_code') ? [other] : []),
          cancelButton(close),
        ],
      }),
    ]
  })
}

function codeField(label) {
  return field(label, 'code', { autocomplete: 'one-time-code', inputmode: 'numeric', pattern: '[0-9 ]*', maxlength: '11', title: 'six digits' })
}

/** Apps show codes in groups. */
function plain(code) {
  return code.replaceAll(' ', '')
}
