import { createPasskey } from 'countersign/session'
import { actionForm, cancelButton, confirmed, field, openDialog } from './dialog.js'
import { el } from './dom.js'
import { showRecoveryCodes } from './second-factor.js'
import { shortDate } from './time.js'

/** The longest name of a passkey. */
const MAX_NAME = 64

/** Shows the passkeys of a user, and lets the user add, rename and remove them. */
export function showPasskeys(section, { passkeys }, { request, words, fresh, change }) {
  async function add() {
    const made = await openDialog('Add a passkey', (close) => nameForm('Add', '', close, async (name) => {
      const options = await fresh(() => request('POST', '/passkeys/options', {}))
      if (options === undefined) return
      const credential = await createPasskey(options.public_key)
      close(await request('POST', '/passkeys', { challenge_token: options.challenge_token, credential, name }))
    }, words))
    if (made === undefined) return undefined
    await showRecoveryCodes(made.recovery_codes ?? [])
    return `The passkey “${made.name}” can log you in.`
  }

  async function rename({ id, name }) {
    const next = await openDialog('Rename the passkey', (close) => nameForm('Rename', name, close, async (name) => {
      await request('PATCH', `/passkeys/${id}`, { name })
      close(name)
    }, words))
    return next && `The passkey is now called “${next}”.`
  }

  async function remove({ id, name }) {
    const text = `“${name}” will not log you in any more. Delete it in your device too: the issuer cannot.`
    if (!(await confirmed('Remove the passkey?', text, 'Remove'))) return undefined
    return (await fresh(() => request('DELETE', `/passkeys/${id}`))) && `The passkey “${name}” is removed.`
  }

  const button = (label, name, action, attributes = {}) => {
    const made = el('button', { type: 'button', 'aria-label': `${label} ${name}`, ...attributes }, label)
    made.addEventListener('click', () => change(made, action))
    return made
  }
  const rows = passkeys.map((passkey) => {
    const { name, created_at: created, last_used_at: used } = passkey
    const times = `Added ${shortDate(created)}, ${used === null ? 'not used yet' : `last used ${shortDate(used)}`}`
    return el(
      'li',
      {},
      el('div', {}, el('strong', {}, name), el('span', {}, times)),
      el('div.buttons', {}, button('Rename', name, () => rename(passkey)), button('Remove', name, () => remove(passkey))),
    )
  })
  const isPossible = 'PublicKeyCredential' in globalThis
  const fact = isPossible ? 'None yet.' : 'This browser has none for this page.'
  section.querySelector('.content').replaceChildren(
    rows.length === 0 ? el('p.fact', {}, fact) : el('ul.rows', {}, ...rows),
    el('div.buttons', {}, button('Add a passkey', '', add, { id: 'add-passkey', 'aria-label': false, disabled: !isPossible })),
  )
}

function nameForm(label, value, close, action, words) {
  const name = field('Name', 'name', { value, maxlength: String(MAX_NAME), autocomplete: 'off', placeholder: 'Laptop' })
  return [actionForm({ fields: [name], label, action: (values) => action(values.name.trim()), words, more: [cancelButton(close)] })]
}
