import { confirmed } from './dialog.js'
import { el } from './dom.js'
import { setUpTotp, showRecoveryCodes } from './second-factor.js'
import { shortDate } from './time.js'

/** Shows the authenticator app of a user, and lets the user set it up or remove it. */
export function showTotp(section, { totp }, { request, words, fresh, change }) {
  async function setUp() {
    const enrolment = await fresh(() => request('POST', '/totp', {}))
    if (enrolment === undefined) return undefined
    const confirm = async (code) => (await request('POST', '/totp/confirm', { code })).recovery_codes ?? []
    const codes = await setUpTotp('Set up an authenticator app', '', { ...enrolment, confirm }, words)
    if (codes === undefined) return undefined
    await showRecoveryCodes(codes)
    return 'The app is set up. From now on, a login asks for its code.'
  }

  async function remove() {
    const text = 'A login will not ask for its code any more. Without a passkey, the recovery codes stop working too.'
    if (!(await confirmed('Remove the app?', text, 'Remove'))) return undefined
    return (await fresh(() => request('DELETE', '/totp'))) && 'The app is removed.'
  }

  const isOn = totp !== null
  const button = el('button', { type: 'button', id: isOn ? 'remove-totp' : 'set-up-totp' }, isOn ? 'Remove' : 'Set up')
  button.addEventListener('click', () => change(button, isOn ? remove : setUp))
  show(section, el('p.fact', {}, isOn ? `Set up on ${shortDate(totp.created_at)}.` : 'Not set up.'), button)
}

/** Shows how many recovery codes are left, and lets the user make new ones. */
export function showRecovery(section, { totp, passkeys, recovery_codes: left }, { request, fresh, change }) {
  async function renew() {
    const answer = await fresh(() => request('POST', '/recovery-codes', {}))
    if (answer === undefined) return undefined
    await showRecoveryCodes(answer.recovery_codes)
    return 'The recovery codes are new. The old ones do not work any more.'
  }

  const hasFactor = totp !== null || passkeys.length > 0
  const button = el('button', { type: 'button', id: 'renew-codes', disabled: !hasFactor }, 'Make new ones')
  button.addEventListener('click', () => change(button, renew))
  const fact = hasFactor ? `${left} of 10 are left.` : 'They come with the app or the first passkey.'
  show(section, el('p.fact', {}, fact), button)
}

function show(section, fact, button) {
  section.querySelector('.content').replaceChildren(fact, el('div.buttons', {}, button))
}
