// A Worker with the package, for package-workerd.test.js: POST { options, token } verifies the token. With `endAfter`
// milliseconds, the request ends at that time, and its fetches end with it unless `options.outlive`. `options.status` has the
// options of `statusList`.
import { waitUntil } from 'cloudflare:workers'
import { statusList } from '../../../pkg/dist/status.js'
import { createVerifier } from '../../../pkg/dist/workerd.js'

let creating

export default {
  async fetch(request) {
    const { options: { status, outlive, ...options }, token, endAfter } = await request.json()
    const verifier = await (creating ??= createVerifier({
      ...options,
      jwksOptions: { ...options.jwksOptions, ...(outlive && { waitUntil }) },
      status: status && statusList(status),
    }))
    const answer = answerTo(verifier.verify(token))
    return endAfter === undefined ? answer : new Promise((resolve) => setTimeout(() => resolve(Response.json('ended')), endAfter))
  },
}

function answerTo(verified) {
  return verified.then(
    ({ payload }) => Response.json(payload),
    ({ code, message }) => Response.json({ code, message }, { status: 401 }),
  )
}
