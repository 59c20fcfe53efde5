// Two issuers are restarted one after the other behind a proxy, as docs/operations.md says, while clients use them. No request
// may fail. `COUNTERSIGN_RESTART_SECONDS` is the time that restarts go on.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { askForToken, logIn, startIssuers, succeed, USERS } from './support/issuers.js'
import { PROXIES, startProxy } from './support/proxies.js'

/** Both issuers restart at least once. */
const SECONDS = Number(process.env.COUNTERSIGN_RESTART_SECONDS || 1)

/** The documented `shutdown_delay` and the times by which proxies notice, divided by 5 so that the test takes seconds. */
const SHUTDOWN_DELAY = '2s'
const NOTICE = { HAProxy: ['inter 2s', 'inter 400ms'], nginx: ['fail_timeout=5s', 'fail_timeout=1s'] }

/** Half of the documented pause: a check takes as long as ever. */
const PAUSE_MS = 5000

describe('a rolling restart fails no request', { concurrency: 2, timeout: (SECONDS + 120) * 1000 }, () => {
  for (const [name, notice] of Object.entries(NOTICE)) {
    test(`behind ${name}`, async (t) => {
      const issuers = await startIssuers(['--shutdown-delay', SHUTDOWN_DELAY])
      t.after(issuers.stop)
      const proxy = PROXIES.find((proxy) => proxy.name === name)
      const front = await startProxy(proxy, issuers.ports, [notice])
      t.after(front.stop)
      await restartUnderLoad(t, issuers, front)
    })
  }
})

async function restartUnderLoad(t, issuers, front) {
  const client = JSON.parse(await issuers.run(['client', 'add', 'worker', '--json']))

  const counts = {}
  let stopping = false
  const repeat = async (name, work) => {
    while (!stopping) {
      await work()
      counts[name] = (counts[name] ?? 0) + 1
    }
  }
  const refreshing = async (user) => {
    let { refresh_token } = await logIn(front, user)
    await repeat('refreshes', async () => {
      ;({ refresh_token } = await askForToken(front, { grant_type: 'refresh_token', refresh_token }))
    })
  }
  const users = Array.from({ length: USERS }, (_, user) => user)
  const clients = [
    ...users.slice(2).map(refreshing),
    // Users of their own: the 1000th login ends a user's oldest session.
    ...users.slice(0, 2).map((user) => repeat('logins', () => logIn(front, user))),
    repeat('client tokens', () => askForToken(front, { grant_type: 'client_credentials', ...client })),
    repeat('key sets', () => succeed(front, { path: '/.well-known/jwks.json' })),
  ]
  // A client that fails stops the others.
  const load = Promise.all(clients).finally(() => (stopping = true))
  load.catch(() => {})
  const started = performance.now()
  let restarts = 0
  do {
    for (const index of [0, 1]) {
      await issuers.restart(index)
      await sleep(PAUSE_MS)
      restarts++
    }
  } while (!stopping && performance.now() - started < SECONDS * 1000)
  stopping = true
  await load
  t.diagnostic(`${restarts} restarts: ${JSON.stringify(counts)}`)
  for (const [name, count] of Object.entries(counts)) assert.ok(count >= 10, `only ${count} ${name}`)
}
