import { say } from './notice.js'

/** Copies a text, and shows `done`. Throws with words for the reader if the browser refuses. */
export async function copy(text, done) {
  try {
    await navigator.clipboard.writeText(text)
  } catch {
    throw new Error('The browser does not let the page copy. Select the text instead.')
  }
  say(done)
}
