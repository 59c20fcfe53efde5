// The application's own data: a note for each user. They are in memory, and gone after a restart.
import { Refusal } from './refusal.js'

const MAX_NOTES = 10_000
const MAX_NOTE = 1000

export function createNotes() {
  const notes = new Map()
  return {
    get: (sub) => notes.get(sub) ?? '',
    /** @throws {Refusal} */
    set(sub, text) {
      if (text.length > MAX_NOTE) throw new Refusal(400, 'invalid_request', `The note is too long: it may have ${MAX_NOTE} characters.`)
      notes.delete(sub)
      notes.set(sub, text)
      if (notes.size > MAX_NOTES) notes.delete(notes.keys().next().value)
    },
    remove: (sub) => notes.delete(sub),
  }
}
