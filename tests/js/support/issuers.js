// Two issuers behind a proxy, on one PostgreSQL database.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort, startIssuer } from './issuer.js'
import { startPostgres } from './postgres.js'
import { NAME } from './proxies.js'

/** All clients of the tests are one network. */
const FLAGS = ['--behind-proxy', '--issuer', `https://${NAME}`, '--trusted-proxies', '127.0.0.1', '--login-rate', '100000']

/** The number of users. Each logs in once at a time: further attempts would count as failures until the first one ends. */
export const USERS = 5

const PASSWORD = 'not a secret: for tests alone'

/**
 * Starts the issuers.
 *
 * @param {string[]} flags more flags
 * @returns {Promise<{ ports: number[], run: (args: string[], stdin?: string) => Promise<string>, restart: (index: number) =>
 *   Promise<void>, stop: () => Promise<void> }>} `restart` stops one issuer and starts it again on its port
 */
export async function startIssuers(flags = []) {
  const folder = await mkdtemp(join(tmpdir(), 'countersign-issuers-'))
  const stops = [() => rm(folder, { recursive: true, force: true })]
  const stop = async () => {
    for (const stop of stops.splice(0).reverse()) await stop()
  }
  try {
    const masterKey = join(folder, 'master-key')
    await writeFile(masterKey, randomBytes(32).toString('base64'), { mode: 0o600 })
    // A busy disk would let the issuers answer 503.
    const postgres = await startPostgres(masterKey, ['fsync=off'])
    stops.push(postgres.stop)
    await postgres.create('issuers')
    const ports = [await freePort(), await freePort()]
    const start = (index, prepare) => {
      const database = () => postgres.flags('issuers')
      const options = { port: ports[index], admin: '127.0.0.1:0', logged: false, database, prepare }
      return startIssuer({ flags: [...FLAGS, ...flags], ...options })
    }
    const issuers = [await start(0, addUsers), await start(1, () => {})]
    stops.push(() => Promise.all(issuers.map((issuer) => issuer.stop())))
    const restart = async (index) => {
      await issuers[index].stop()
      issuers[index] = await start(index, () => {})
    }
    return { ports, run: issuers[0].run, restart, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

async function addUsers(run) {
  for (let user = 0; user < USERS; user++) await run(['user', 'add', `user-${user}`], `${PASSWORD}\n`)
}

/** Logs a user in through a proxy, and returns the answer. */
export function logIn(front, user) {
  const headers = { 'content-type': 'application/json' }
  const login = { username: `user-${user}`, password: PASSWORD }
  return succeed(front, { path: '/login', method: 'POST', headers }, JSON.stringify(login))
}

/** Asks `/token` through a proxy, and returns the answer. */
export function askForToken(front, form) {
  const headers = { 'content-type': 'application/x-www-form-urlencoded' }
  return succeed(front, { path: '/token', method: 'POST', headers }, new URLSearchParams(form).toString())
}

/** Sends a request through a proxy, and returns the answer, which has to be 200. */
export async function succeed(front, options, body) {
  const answer = await front.send(options, body)
  assert.equal(answer.status, 200, `${options.path}: ${answer.body}`)
  return JSON.parse(answer.body)
}
