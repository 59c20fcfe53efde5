// Runs the vectors of `status_lists.json` with an imported `countersign`. This file imports nothing, so that it runs in every
// runtime.

/** The only URL that serves a list. */
const URI = 'https://auth.example/status/1'

const RETRYABLE = ['status_unavailable']
const STAGES = { token_revoked: 'status', status_unavailable: 'status' }

/**
 * Verifies each token by `verify`, which fetches the list, and then by `verifySync`, with and without a cache.
 *
 * @param {{ createVerifier: Function, statusList: Function, VerifyError: Function }} countersign the package
 * @param {{ name: string, token: string, options: object, status: object, list: string | null, now: number, expect: string }[]} vectors
 * @returns {Promise<string[]>} a sentence for each difference from `expect`
 */
export async function runStatusVectors(countersign, vectors) {
  if (vectors.length === 0) return ['there is no vector']
  const disagreements = []
  for (const vector of vectors) {
    for (const cache of [0, 10]) {
      const problems = await problemsOf(countersign, vector, cache)
      disagreements.push(...problems.map((problem) => `${vector.name} (cache: ${cache}): ${problem}`))
    }
  }
  return disagreements
}

async function problemsOf({ createVerifier, statusList, VerifyError }, { token, options, status, list, now, expect }, cache) {
  const fetch = async (url) => (url === URI && list !== null ? new Response(list) : new Response('', { status: 404 }))
  const verifier = await createVerifier({ ...options, cache, fetch, now: () => now, status: statusList(status) })
  const problems = []
  for (const verify of [() => verifier.verify(token), async () => verifier.verifySync(token)]) {
    const error = await verify().then(() => undefined, (error) => error)
    if (error !== undefined && !(error instanceof VerifyError)) problems.push(`threw ${error?.stack}, expected ${expect}`)
    else if ((error?.code ?? 'ok') !== expect) problems.push(`${error?.code ?? 'ok'} (${error?.message}), expected ${expect}`)
    else if (error !== undefined) problems.push(...faultsOf(error, token, JSON.stringify(options)))
  }
  return problems
}

function faultsOf({ code, stage, retryable, claims, message, wwwAuthenticate }, token, options) {
  const faults = []
  if (stage !== (STAGES[code] ?? 'claims')) faults.push(`${code} at the stage ${stage}`)
  if (retryable !== RETRYABLE.includes(code)) faults.push(`${code} is retryable: ${retryable}`)
  if (claims?.sub !== 'user-1') faults.push(`claims: ${claims}`)
  if (!/^[^\p{Cc}]+$/u.test(message)) faults.push(`not one line of text: ${JSON.stringify(message)}`)
  if (wwwAuthenticate.startsWith('Bearer error="invalid_token"') === RETRYABLE.includes(code)) faults.push(`challenge: ${wwwAuthenticate}`)
  const payload = atob(token.split('.')[1].replaceAll('-', '+').replaceAll('_', '/'))
  for (let start = 0; start + 12 <= message.length; start++) {
    const piece = message.slice(start, start + 12)
    if ((token.includes(piece) || payload.includes(piece)) && !options.includes(piece)) faults.push(`the token's ${piece} stands in ${message}`)
  }
  return faults
}
