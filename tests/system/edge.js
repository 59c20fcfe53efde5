// A Node.js service that verifies tokens: 200, 401, or 503 if it cannot tell. By messages its parent sets its clock, and it tells of
// fetches that failed.
import { createServer } from 'node:http'
import { createVerifier } from 'countersign'
import { statusList } from 'countersign/status'
import { EDGE_HEADER } from './proxy.js'
import { SABOTEURS } from './saboteurs-at-edges.js'

const { name, options, status, saboteur } = JSON.parse(process.argv[2])

/** The seconds by which the clock is ahead. */
let ahead = 0

const settings = {
  ...options,
  jwksOptions: { ...options.jwksOptions, onError: ({ code }) => process.send({ failure: code }) },
  now: () => Date.now() / 1000 + ahead,
  fetch: (url, request) => fetch(url, { ...request, headers: { ...request?.headers, [EDGE_HEADER]: name } }),
  status: statusList(status),
}
const verify = await verifierOf(settings)

async function verifierOf(settings) {
  if (saboteur !== undefined) return SABOTEURS[saboteur](settings)
  const verifier = await createVerifier(settings)
  return (token) => verifier.verify(token)
}

async function statusOf(token) {
  try {
    await verify(token)
    return [200, 'ok']
  } catch (error) {
    return [['jwks_unavailable', 'jwks_invalid', 'status_unavailable'].includes(error.code) ? 503 : 401, error.code ?? 'internal_error']
  }
}

const server = createServer(async (request, response) => {
  const [status, code] = await statusOf(request.headers.authorization.slice('Bearer '.length))
  response.writeHead(status, { 'x-code': code }).end()
})
// The parent keeps its connections.
server.keepAliveTimeout = 600_000
server.listen(0, '127.0.0.1', () => process.send({ port: server.address().port }))

process.on('message', (message) => {
  ahead = message.ahead
  process.send({ ahead })
})
process.on('disconnect', () => process.exit())
