// The secret of an authenticator app, in a form that asks for its first code.
import encodeQR from 'qr'
import { $ } from './dom.js'

const SVG = 'http://www.w3.org/2000/svg'

/** Shows the secret as a QR code, which is drawn here in the page, and as text. */
export function showSecret(form, { secret, uri }) {
  const rows = encodeQR(uri, 'raw', { border: 4 })
  const squares = rows.flatMap((row, y) => row.map((isDark, x) => (isDark ? `M${x} ${y}h1v1h-1z` : '')))
  const path = document.createElementNS(SVG, 'path')
  path.setAttribute('d', squares.join(''))
  $('svg', form).setAttribute('viewBox', `0 0 ${rows.length} ${rows.length}`)
  $('svg', form).replaceChildren(path)
  $('code', form).textContent = secret.replaceAll(/(.{4})(?=.)/g, '$1 ')
}

export function forgetSecret(form) {
  form.reset()
  $('svg', form).replaceChildren()
  $('code', form).textContent = ''
}
