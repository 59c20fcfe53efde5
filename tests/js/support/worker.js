// A Worker over the package, for package-workerd.test.js: POST /vectors runs vectors, POST /verify verifies a token.
import * as countersign from 'countersign'
import { runVectors } from './vectors.js'

let verifier

export default {
  async fetch(request) {
    const job = await request.json()
    if (new URL(request.url).pathname === '/vectors') return Response.json(await runVectors(countersign, job))
    verifier ??= await countersign.createVerifier(job.options)
    try {
      return Response.json((await verifier.verify(job.token)).payload)
    } catch ({ code, message }) {
      return Response.json({ code, message }, { status: 401 })
    }
  },
}
