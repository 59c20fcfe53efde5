// A key set endpoint and its verifiers, for the tests of the package.
import { once } from 'node:events'
import { createServer } from 'node:http'
import { createVerifier } from 'countersign'
import { claims, makeKey, makeToken, NOW, options } from './package-tokens.js'

export const key = makeKey('k1')
export const next = makeKey('k2')
export const token = makeToken(key)

/** Returns a token of this key that does not expire while a test moves its clock. */
export function lasting(key) {
  return makeToken(key, claims({ exp: NOW + 1e7 }))
}

/** Starts a key set endpoint that counts its requests. `answer` may be replaced at any time. */
export async function endpoint(t, answer = jwks([key])) {
  const state = { answer, requests: 0, url: '', headers: [] }
  const server = createServer((request, response) => {
    state.requests++
    state.headers.push(request.headers)
    state.answer(response, request)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  state.url = `http://127.0.0.1:${server.address().port}/jwks.json`
  state.close = () => new Promise((resolve) => {
    server.close(resolve)
    server.closeAllConnections()
  })
  t.after(state.close)
  return state
}

/** Answers with a key set of public JWKs. */
export function jwks(keys, headers = {}) {
  return (response) => {
    response.writeHead(200, { 'content-type': 'application/jwk-set+json', ...headers })
    response.end(JSON.stringify({ keys: keys.map(({ jwk }) => jwk) }))
  }
}

export function status(code, headers = {}, body = '') {
  return (response) => void response.writeHead(code, headers).end(body)
}

/** Returns a verifier with a URL, and a clock that the test moves. */
export async function remote(url, changes = {}) {
  const clock = { now: NOW }
  const verifier = await createVerifier(options([], { jwks: url, now: () => clock.now, ...changes }))
  return { verifier, clock }
}

/** Waits until the condition is true. */
export async function eventually(condition) {
  const deadline = Date.now() + 5000
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`never: ${condition}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
