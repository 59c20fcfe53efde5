// Runs vectors with an imported `countersign`. This file imports nothing, so that it runs in every runtime.

/** No server listens at this URL. Each verifier gets its own `fetch`, so that no vector uses the network. */
const JWKS_URL = 'http://127.0.0.1:1/jwks.json'

const STAGES = {
  options_invalid: 'options',
  token_too_large: 'parse',
  token_malformed: 'parse',
  header_invalid: 'header',
  algorithm_not_allowed: 'header',
  type_mismatch: 'header',
  critical_unsupported: 'header',
  key_not_found: 'key',
  key_rejected: 'key',
  jwks_unavailable: 'key',
  jwks_invalid: 'key',
  signature_invalid: 'signature',
  claim_missing: 'claims',
  claim_invalid: 'claims',
  claim_mismatch: 'claims',
  issuer_mismatch: 'claims',
  audience_mismatch: 'claims',
  token_expired: 'claims',
  token_not_yet_valid: 'claims',
  token_too_old: 'claims',
  scope_insufficient: 'claims',
}
const RETRYABLE = ['jwks_unavailable', 'token_not_yet_valid']

/** The ways to verify a token. */
export const WAYS = { verifySync, verify: verifyByUrl }

/**
 * Runs each vector twice: by `verifySync` with the key set as an object, and by `verify` with the key set as a URL.
 *
 * @param {typeof import('countersign')} countersign the package
 * @param {{ name: string, token: string, options: object, now: number, expect: string }[]} vectors
 * @param {Record<string, (countersign: object, vector: object) => Promise<unknown>>} [ways] some of `WAYS`
 * @returns {Promise<string[]>} a sentence for each difference from `expect`
 */
export async function runVectors(countersign, vectors, ways = WAYS) {
  if (vectors.length === 0) return ['there is no vector']
  const disagreements = []
  for (const vector of vectors) {
    for (const [way, verify] of Object.entries(ways)) {
      const problems = await problemsOf(vector, () => verify(countersign, vector), countersign.VerifyError, way)
      disagreements.push(...problems.map((problem) => `${vector.name} (${way}): ${problem}`))
    }
  }
  return disagreements
}

async function verifySync({ createVerifier }, { token, options, now }) {
  const verifier = await createVerifier({ jwks: JWKS_URL, fetch: unreachable, ...options, now: () => now })
  return verifier.verifySync(token)
}

async function verifyByUrl({ createVerifier }, { token, options: { jwks, ...policy }, now }) {
  const fetch = jwks === undefined ? unreachable : async () => new Response(JSON.stringify(jwks))
  const verifier = await createVerifier({ ...policy, jwks: JWKS_URL, fetch, now: () => now })
  return verifier.verify(token)
}

async function unreachable() {
  throw new TypeError('nothing listens here')
}

/** A fetched set without a usable key is a failed fetch. */
const NO_USABLE_KEY = /^no key set from \S+ (?:the set is empty|none of its \d+ keys is usable|a key of the set is a private)/

async function problemsOf({ token, options, expect }, verify, VerifyError, way) {
  try {
    await verify()
    return expect === 'ok' ? [] : [`accepted, expected ${expect}`]
  } catch (error) {
    if (!(error instanceof VerifyError)) return [`threw ${error}, expected ${expect}`]
    const unusable = way === 'verify' && /^key_/.test(expect) && error.code === 'jwks_unavailable' && NO_USABLE_KEY.test(error.message)
    if (error.code !== expect && !unusable) return [`${error.code} (${error.message}), expected ${expect}`]
    return faultsOf(error, token, JSON.stringify(options))
  }
}

/**
 * Returns the faults of an error that has the expected code. The message must not contain 12 consecutive characters of
 * the token, unless the options contain them too.
 */
function faultsOf({ code, stage, retryable, claims, message, wwwAuthenticate }, token, options) {
  const faults = []
  if (stage !== STAGES[code]) faults.push(`${code} at the stage ${stage}`)
  if (retryable !== RETRYABLE.includes(code)) faults.push(`${code} is retryable: ${retryable}`)
  if ((claims !== undefined) !== (stage === 'claims')) faults.push(`claims of an error at the stage ${stage}: ${claims}`)
  if (!/^[^\p{Cc}]+$/u.test(message)) faults.push(`not one line of text: ${JSON.stringify(message)}`)
  if (!wwwAuthenticate.startsWith('Bearer')) faults.push(`no challenge: ${wwwAuthenticate}`)
  for (let start = 0; start + 12 <= message.length; start++) {
    const piece = message.slice(start, start + 12)
    if (token.includes(piece) && !options.includes(piece)) faults.push(`the token's ${piece} stands in ${message}`)
  }
  return faults
}
