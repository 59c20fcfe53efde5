import { createVerifier } from 'countersign'
import { createTestIssuer } from 'countersign/testing'
import { importJWK, jwtVerify } from 'jose'
import { createHandwritten } from './handwritten.js'

/** Loads all scripts of the verifier: later the page may be offline. */
export async function loadScripts() {
  await createVerifier({ issuer: '-', audience: '-', jwks: { keys: [] } })
}

/** Makes an issuer with a new key, and tokens of it that differ. `pause` lets the page respond. */
export async function makeTokens(count, pause) {
  const issuer = await createTestIssuer({ issuer: 'https://auth.example', audience: 'https://api.example' })
  const tokens = []
  while (tokens.length < count) {
    tokens.push(await issuer.sign({ ...claims(), exp: Math.floor(Date.now() / 1000) + 3600 }))
    if (tokens.length % 16 === 0) await pause()
  }
  return { issuer, tokens }
}

/**
 * Makes the contestants. Each has its key already, keeps no results, and checks the same: RS256, type, signature, issuer,
 * audience and times.
 *
 * @param {import('countersign/testing').TestIssuer} issuer
 * @param {number} atOnce the number of tokens under way at once, of those that are asynchronous
 * @returns {Promise<(import('./race-run.js').Contestant & { verify: (token: string) => unknown })[]>} `verify` throws, or
 *   rejects, if it refuses a token
 */
export async function makeContestants({ options }, atOnce) {
  const verifier = await createVerifier(options)
  const verifySync = (token) => verifier.verifySync(token)
  const handwritten = await createHandwritten(options)
  const key = await importJWK(options.jwks.keys[0], 'RS256')
  const { issuer, audience } = options
  const rules = { algorithms: ['RS256'], issuer, audience, typ: 'at+jwt', requiredClaims: ['exp'] }
  const jose = (token) => jwtVerify(token, key, rules)
  return [
    { name: 'countersign', verify: verifySync, run: (tokens) => tokens.forEach(verifySync) },
    { name: 'WebCrypto', verify: handwritten, run: (tokens) => runAsync(handwritten, tokens, atOnce) },
    { name: 'jose', verify: jose, run: (tokens) => runAsync(jose, tokens, atOnce) },
  ]
}

/** Checks the verdicts of each contestant: one that checks less would be faster. Returns the number of tokens for each. */
export async function checkVerdicts(contestants, issuer) {
  const now = Math.floor(Date.now() / 1000)
  const stranger = await createTestIssuer({ issuer: issuer.options.issuer, audience: issuer.options.audience })
  const good = await issuer.sign(claims())
  const bad = {
    'that is expired': await issuer.sign({ ...claims(), exp: now - 10 }),
    'of another issuer': await issuer.sign({ ...claims(), iss: 'https://other.example' }),
    'for another audience': await issuer.sign({ ...claims(), aud: 'other' }),
    'of another type': await issuer.sign(claims(), { typ: 'JWT' }),
    'signed with another key': await stranger.sign(claims()),
    'that was changed': `${good.slice(0, good.indexOf('.') + 1)}${(await issuer.sign({ ...claims(), sub: 'admin' })).split('.')[1]}${good.slice(good.lastIndexOf('.'))}`,
  }
  for (const { name, verify } of contestants) {
    if (!(await accepts(verify, good))) throw new Error(`${name} refuses a good token`)
    for (const [what, token] of Object.entries(bad)) {
      if (await accepts(verify, token)) throw new Error(`${name} accepts a token ${what}`)
    }
  }
  return Object.keys(bad).length + 1
}

function claims() {
  return { sub: crypto.randomUUID(), client_id: 'race', scope: 'read write', jti: crypto.randomUUID(), sid: crypto.randomUUID() }
}

async function accepts(verify, token) {
  try {
    await verify(token)
    return true
  } catch {
    return false
  }
}

async function runAsync(verify, tokens, atOnce) {
  for (let start = 0; start < tokens.length; start += atOnce) {
    if (atOnce === 1) await verify(tokens[start])
    else await Promise.all(tokens.slice(start, start + atOnce).map(verify))
  }
}
