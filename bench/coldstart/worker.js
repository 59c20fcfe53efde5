// A Worker that answers after its first verdict.
import { verdict } from 'contestant'

export default {
  async fetch() {
    await verdict(TASK)
    return new Response('done')
  },
}
