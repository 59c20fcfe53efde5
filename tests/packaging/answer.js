// The answer of the servers that frameworks build.
import * as countersign from 'countersign'
import { address } from './address.js'
import { conform } from './conformance.js'

/** Does the job, and returns a response with the text "done" or with the problems. */
export async function answer() {
  const { problems } = await conform(countersign, address)
  return new Response(problems.length === 0 ? 'done' : problems.join('\n'))
}
