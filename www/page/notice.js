import { byId } from './dom.js'

/** Shows a message in the page's `#notice`, as an error if `kind` says so. */
export function say(text, kind = '') {
  const notice = byId('notice')
  notice.className = `notice ${kind}`
  notice.textContent = text
}

/**
 * Runs a button's action, one at a time, and shows its error.
 *
 * @param {() => unknown} action
 * @param {HTMLElement} [button]
 * @param {(error: Error) => string} [words] what to say of an error; its message by default
 */
export async function guarded(action, button, words = ({ message }) => message) {
  if (button?.getAttribute('aria-busy') === 'true') return
  button?.setAttribute('aria-busy', 'true')
  say('')
  try {
    await action()
  } catch (error) {
    say(words(error), 'error')
  } finally {
    button?.removeAttribute('aria-busy')
  }
}
