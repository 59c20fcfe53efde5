import { el } from './dom.js'

/** Makes ids unique: one dialog can open another. */
let count = 0

/**
 * Opens a modal dialog, which Escape closes. The browser returns the focus to the element that had it before.
 *
 * @template T
 * @param {string} title
 * @param {(close: (result?: T) => void) => (Node | string)[]} fill makes the content
 * @returns {Promise<T | undefined>} what `close` was called with, or undefined
 */
export function openDialog(title, fill) {
  return new Promise((resolve) => {
    const id = `dialog-${++count}`
    const dialog = el('dialog.card', { 'aria-labelledby': id }, el('h2', { id }, title))
    let result
    const close = (value) => {
      result = value
      dialog.close()
    }
    dialog.append(...fill(close))
    dialog.addEventListener('close', () => {
      dialog.remove()
      resolve(result)
    })
    document.body.append(dialog)
    dialog.showModal()
  })
}

/**
 * Makes a form that runs an action and shows its error.
 *
 * @param {object} form
 * @param {(Node | string)[]} form.fields
 * @param {string} form.label the name of its button
 * @param {(values: Record<string, string>) => Promise<void>} form.action gets the values by the names of the fields
 * @param {(error: Error) => string} form.words what to say of an error
 * @param {Node[]} [form.more] more buttons
 * @returns {HTMLFormElement}
 */
export function actionForm({ fields, label, action, words, more = [] }) {
  const problem = el('p.notice.error', { role: 'alert' })
  const submit = el('button.primary', { type: 'submit' }, label)
  const form = el('form', {}, ...fields, problem, el('div.buttons', {}, submit, ...more))
  form.addEventListener('submit', (event) => {
    event.preventDefault()
    void attempt(() => action(Object.fromEntries(new FormData(form))), submit, problem, words)
  })
  return form
}

/** Makes a button that runs an action and shows its error in the form around it. */
export function actionButton(label, action, words) {
  const button = el('button', { type: 'button' }, label)
  button.addEventListener('click', () => attempt(action, button, button.form.querySelector('[role=alert]'), words))
  return button
}

/** Makes a button that closes the dialog around it. */
export function cancelButton(close, label = 'Cancel') {
  const button = el('button', { type: 'button' }, label)
  button.addEventListener('click', () => close())
  return button
}

/** Makes a text field with its label. */
export function field(label, name, attributes = {}) {
  const id = `field-${++count}`
  return el('div.field', {}, el('label', { for: id }, label), el('input', { id, name, required: true, ...attributes }))
}

/**
 * Asks if something is to be done.
 *
 * @returns {Promise<boolean>}
 */
export async function confirmed(title, text, label) {
  const isConfirmed = await openDialog(title, (close) => [
    el('p', {}, text),
    actionForm({ fields: [], label, action: async () => close(true), words: String, more: [cancelButton(close)] }),
  ])
  return isConfirmed === true
}

async function attempt(action, button, problem, words) {
  if (button.getAttribute('aria-busy') === 'true') return
  button.setAttribute('aria-busy', 'true')
  problem.textContent = ''
  try {
    await action()
  } catch (error) {
    problem.textContent = words(error)
  } finally {
    button.removeAttribute('aria-busy')
  }
}
