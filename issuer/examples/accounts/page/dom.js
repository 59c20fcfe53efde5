import { inWords } from './words.js'

/** Returns the element that the selector names. */
export const $ = (selector, within = document) => within.querySelector(selector)

/** Makes an element with these properties and children. Texts are never read as HTML. */
export function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties)
  made.append(...children)
  return made
}

/** Runs the work with the fields of a form when it is sent. Shows in the form why the work failed. */
export function onSubmit(form, work) {
  const error = $('.error', form)
  form.addEventListener('submit', async (event) => {
    event.preventDefault()
    // A second click must not send it twice.
    if (form.ariaBusy === 'true') return
    form.ariaBusy = 'true'
    error.textContent = ''
    try {
      await work(Object.fromEntries(new FormData(form)))
      form.reset()
    } catch (problem) {
      error.textContent = inWords(problem)
      const field = $('[type=password]', form) ?? $('input, textarea', form)
      field?.focus()
    } finally {
      form.ariaBusy = null
    }
  })
}

/** Tells people what has happened, also by screen readers. */
export function say(text) {
  $('#notice').textContent = text
}

/** Returns a time of the issuer in words. */
export function when(seconds) {
  return new Date(seconds * 1000).toLocaleString('en', { dateStyle: 'medium', timeStyle: 'short' })
}
