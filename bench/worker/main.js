// Measures in workerd, and answers the request with the results.
import relaxed from 'kernels/countersign.relaxed.wasm'
import portable from 'kernels/countersign.wasm'
import { makeSignature, measureKernels } from '../lib/kernels.js'
import { median } from '../lib/measure.js'
import { moduleInUse } from '../lib/module.js'
import { NODE_ONLY, fastJwt, signatureChecks, signatureOnly } from '../lib/node-libraries.js'
import { runVerify } from '../lib/suites.js'
import { makeKey } from '../lib/tokens.js'

/** Longer than elsewhere, because a turn has to read the clock twice over a connection. Still shorter than a time slice. */
const TURN_MS = 4

export default {
  async fetch(request, { CLOCK }) {
    const rounds = Number(new URL(request.url).searchParams.get('rounds'))
    const clock = { turnMs: TURN_MS, now: async () => Number(await (await CLOCK.fetch('http://clock')).text()) }
    try {
      const results = await runVerify({
        rounds,
        clock,
        say() {},
        more: NODE_ONLY,
        signatureOnly,
        fastJwt,
        kernel: () => kernel(rounds, clock),
      })
      return Response.json({ module: await moduleInUse(), emptyTurn: await emptyTurn(clock), ...results })
    } catch (error) {
      return new Response(error.stack, { status: 500 })
    }
  },
}

async function kernel(rounds, clock) {
  const key = await makeKey()
  const sample = await makeSignature(key)
  const modules = { 'countersign.relaxed.wasm': relaxed, 'countersign.wasm': portable }
  return measureKernels(modules, signatureChecks(key, sample), sample, rounds, clock)
}

/** Returns the median time of a turn without work, in nanoseconds. */
async function emptyTurn({ now }) {
  const times = []
  while (times.length < 100) times.push(-(await now()) + (await now()))
  return median(times) * 1e6
}
