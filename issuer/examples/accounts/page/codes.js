import { $, element } from './dom.js'

/** Shows new recovery codes until the user has closed the dialog. */
export async function showCodes(codes) {
  const dialog = $('#codes')
  $('#codes-list').replaceChildren(...codes.map((code) => element('li', {}, element('code', {}, code))))
  $('#codes-copy').onclick = async () => {
    await navigator.clipboard.writeText(codes.join('\n'))
    $('#codes-copy').textContent = 'Copied'
  }
  dialog.showModal()
  await new Promise((resolve) => dialog.addEventListener('close', resolve, { once: true }))
  $('#codes-list').replaceChildren()
  $('#codes-copy').textContent = 'Copy'
}
