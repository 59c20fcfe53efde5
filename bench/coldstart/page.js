// The script of a page. `times` are the milliseconds to the first verdict, from the navigation and from the request for this
// script.
import { verdict } from 'contestant'

globalThis.times = verdict(TASK).then(() => {
  const now = performance.now()
  const { startTime } = performance.getEntriesByName(import.meta.url)[0]
  return { navigation: now, script: now - startTime }
})
