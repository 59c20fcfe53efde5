// The authenticator app (TOTP, RFC 6238).
import { showCodes } from './codes.js'
import { $, onSubmit, say, when } from './dom.js'
import { forgetSecret, showSecret } from './enrolment.js'
import { Problem } from './words.js'

export function createTotp({ atIssuer, confirmed, showFactors }) {
  onSubmit($('#totp-start'), async () => {
    showSecret($('#totp-confirm'), await confirmed('POST', '/totp', {}))
    $('#totp-start').hidden = true
    $('#totp-confirm').hidden = false
    $('#totp-confirm input').focus()
  })

  onSubmit($('#totp-confirm'), async ({ code }) => {
    const { recovery_codes: codes } = await atIssuer('POST', '/totp/confirm', { code: code.replaceAll(/\s/g, '') }).catch((error) => {
      throw error.code === 'invalid_request' ? new Problem('The code is wrong. Is the clock of your phone right?') : error
    })
    say('From now on, you need your authenticator app to log in.')
    await showFactors()
    if (codes !== undefined) await showCodes(codes)
  })

  onSubmit($('#totp-remove'), async () => {
    await confirmed('DELETE', '/totp')
    say('The authenticator app is removed.')
    await showFactors()
  })

  function forget() {
    $('#totp-confirm').hidden = true
    forgetSecret($('#totp-confirm'))
  }

  return {
    show({ totp }) {
      forget()
      $('#totp-state').textContent = totp === null ? 'Besides your password, you can use codes of an app on your phone.' : `On since ${when(totp.created_at)}.`
      $('#totp-start').hidden = totp !== null
      $('#totp-remove').hidden = totp === null
    },
    close: forget,
  }
}
