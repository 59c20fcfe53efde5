// Passkeys (WebAuthn).
import { createPasskey } from 'countersign/session'
import { showCodes } from './codes.js'
import { $, element, onSubmit, say, when } from './dom.js'
import { inWords } from './words.js'

export function createPasskeys({ atIssuer, confirmed, showFactors }) {
  onSubmit($('#passkey-add'), async ({ name }) => {
    const { challenge_token: challenge, public_key: options } = await confirmed('POST', '/passkeys/options', {})
    const credential = await createPasskey(options)
    const { recovery_codes: codes } = await atIssuer('POST', '/passkeys', { challenge_token: challenge, credential, name })
    say(`The passkey “${name}” is added. You can log in with it alone.`)
    await showFactors()
    if (codes !== undefined) await showCodes(codes)
  })

  async function remove({ id, name }) {
    try {
      await confirmed('DELETE', `/passkeys/${id}`)
      say(`The passkey “${name}” is removed.`)
      await showFactors()
    } catch (error) {
      say(inWords(error))
    }
  }

  function row(passkey) {
    const { name, created_at: created, last_used_at: used } = passkey
    const times = `added ${when(created)}, ${used === null ? 'not used yet' : `last used ${when(used)}`}`
    const button = element('button', { type: 'button', ariaLabel: `Remove the passkey ${name}`, onclick: () => remove(passkey) }, 'Remove')
    return element('li', {}, element('span', {}, element('strong', {}, name), element('small', {}, times)), button)
  }

  return {
    show: ({ passkeys }) => $('#passkeys').replaceChildren(...passkeys.map(row)),
    close: () => $('#passkeys').replaceChildren(),
  }
}
