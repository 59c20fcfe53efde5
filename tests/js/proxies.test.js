// The files of `deploy/proxies`, each in its real program, in front of servers that record their requests and in front of
// two issuers.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { askForToken, logIn, startIssuers } from './support/issuers.js'
import { NAME, PROXIES, startProxy } from './support/proxies.js'

/** Headers that the issuer or somebody after it might believe. */
const FORGED = ['For', 'Host', 'Port', 'Proto'].map((name) => `X-Forwarded-${name}`).concat('Forwarded', 'X-Real-IP', 'X-Request-Id')

/** The address of a client, other than the proxy's. */
const CLIENT = '127.0.0.9'

/** The most bytes of a body that the issuer reads. */
const BODY = 16 << 10

/** How long a proxy and, with `behind_proxy`, the issuer keep unused connections. */
const IDLE_SECONDS = { proxy: 60, issuer: 620 }

/** The test divides both times by this: the issuer keeps its connections for a second, which is the least. */
const FASTER = 620

/** With 20 sessions, these are 500 refreshes at each proxy. The issuer keeps each connection for 10 s first. */
const SESSIONS = 20
const ROUNDS = [...Array(5).fill(IDLE_SECONDS.proxy), ...Array(20).fill(IDLE_SECONDS.issuer)]

describe('the files of proxies', { concurrency: PROXIES.length, timeout: 120_000 }, () => {
  for (const proxy of PROXIES) {
    describe(proxy.name, { concurrency: 1 }, () => {
      let servers, front

      before(async () => {
        servers = await Promise.all([recordingServer(), recordingServer()])
        front = await startProxy(proxy, servers.map(({ port }) => port))
      })
      after(async () => {
        await front?.stop()
        servers?.forEach(({ stop }) => stop())
      })

      test('headers of a client that say who it is are replaced', async () => {
        const headers = Object.fromEntries(FORGED.map((name) => [name, name === 'X-Forwarded-For' ? '203.0.113.1' : 'forged']))
        assert.equal((await front.send({ path: '/headers', headers, localAddress: CLIENT })).status, 200)
        const [{ headers: received, rawHeaders }] = requestsTo(servers, '/headers')
        assert.ok(!rawHeaders.some((text) => text.includes('forged')), rawHeaders)
        assert.equal(received['x-forwarded-for'], CLIENT)
        assert.equal(received.host, NAME)
        // The form that the issuer takes. Traefik makes no ids.
        if (proxy.name !== 'Traefik') assert.match(received['x-request-id'], /^[\w.-]{1,64}$/)
        assert.notEqual(received.connection, 'close')
      })

      test('an answer passes as it is', async () => {
        const { status, headers, body } = await front.send({ path: '/busy', method: 'POST' }, 'body')
        assert.deepEqual({ status, retry: headers['retry-after'], body }, { status: 503, retry: '7', body: '/busy' })
        assert.equal(requestsTo(servers, '/busy').length, 1)
      })

      test('the longest body passes, and a longer one is refused', async () => {
        const send = (path, length) => front.send({ path, method: 'POST' }, 'x'.repeat(length))
        assert.equal((await send('/longest', BODY)).status, 200)
        assert.equal((await send('/too-long', 2 * BODY)).status, 413)
        assert.equal(requestsTo(servers, '/longest').length, 1)
      })

      test('a header that is too long is refused', async () => {
        const headers = Object.fromEntries(['a', 'b', 'c'].map((name) => [name, 'x'.repeat(7000)]))
        const { status } = await front.send({ path: '/long-header', headers })
        assert.ok([400, 431].includes(status), status)
        assert.deepEqual(requestsTo(servers, '/long-header'), [])
      })

      test('a POST that a server has got is not sent to the other one', async () => {
        // A header that only programs of the operator may send to Envoy.
        const headers = { 'X-Envoy-Retry-On': 'reset' }
        const sent = front.send({ path: '/die', method: 'POST', headers, localAddress: CLIENT }, 'body')
        // HAProxy answers nothing on a connection that it has used before.
        const result = await sent.then(({ status }) => status, ({ code }) => code)
        assert.ok([502, 503, 'ECONNRESET'].includes(result), result)
        assert.equal(requestsTo(servers, '/die').length, 1)
      })

      test('a POST goes to the other server if one is away', async () => {
        const [gone, here] = servers
        gone.stop()
        for (let count = 0; count < 8; count++) {
          assert.equal((await front.send({ path: `/one-away/${count}`, method: 'POST' }, 'body')).status, 200)
        }
        assert.equal(requestsTo([here], '/one-away').length, 8)
      })
    })
  }
})

describe('two issuers', { concurrency: PROXIES.length + 1, timeout: 240_000 }, () => {
  let issuers

  before(async () => {
    issuers = await startIssuers(['--idle-timeout', `${IDLE_SECONDS.issuer / FASTER}s`])
  })
  after(() => issuers?.stop())

  test('keep unused connections longer than a proxy', async () => {
    const settings = await issuers.run(['config', 'check', '--behind-proxy', '--offline'])
    assert.match(settings, new RegExp(`^idle_timeout = ${IDLE_SECONDS.issuer}s$`, 'm'))
  })

  for (const [user, proxy] of PROXIES.entries()) {
    describe(`behind ${proxy.name}`, { concurrency: 1 }, () => {
      let front

      before(async () => {
        front = await startProxy(proxy, issuers.ports, [proxy.idle(IDLE_SECONDS.proxy / FASTER)])
      })
      after(() => front?.stop())

      // It fails if the proxy keeps unused connections longer than the issuer.
      test('500 refreshes at the ends of the idle times are answered', async () => {
        let tokens = []
        for (let count = 0; count < SESSIONS; count++) tokens.push((await logIn(front, user)).refresh_token)
        for (const idle of ROUNDS) {
          await sleep((idle * 1000) / FASTER - 40 * Math.random())
          tokens = await Promise.all(tokens.map((token) => refresh(front, token)))
        }
      })

      test('a request id of a client is not believed', async () => {
        const { headers } = await front.send({ path: '/.well-known/jwks.json', headers: { 'X-Request-Id': 'forged' } })
        assert.match(headers['x-request-id'], /^[\w.-]{16,64}$/)
      })

      test('the metrics cannot be read', async () => {
        for (const host of [NAME, 'localhost']) {
          const { body } = await front.send({ path: '/metrics', headers: { host } })
          assert.ok(!body.includes('countersign_'), body)
        }
      })
    })
  }
})

async function refresh(front, refresh_token) {
  return (await askForToken(front, { grant_type: 'refresh_token', refresh_token })).refresh_token
}

/** Starts a server that records its requests. It is busy at `/busy`, and at `/die` it gives no answer. */
async function recordingServer() {
  const requests = []
  const server = createServer((request, response) => {
    const { url, headers, rawHeaders } = request
    requests.push({ url, headers, rawHeaders })
    if (url === '/die') return request.resume().once('end', () => request.socket.destroy())
    response.writeHead(url === '/busy' ? 503 : 200, url === '/busy' ? { 'retry-after': '7' } : {})
    request.resume().once('end', () => response.end(url))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const stop = () => {
    server.close()
    server.closeAllConnections()
  }
  return { port: server.address().port, requests, stop }
}

function requestsTo(servers, path) {
  return servers.flatMap(({ requests }) => requests).filter(({ url }) => url.startsWith(path))
}
