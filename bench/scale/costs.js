// What one login, refresh, logout or fetch costs: processor time of the issuer, writes of the database, bytes on the network.
import { generateKeyPairSync, randomBytes, sign } from 'node:crypto'
import { readFile, mkdtemp, rm } from 'node:fs/promises'
import { Agent, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { deflateSync } from 'node:zlib'
import { startIssuer, USER } from '../../tests/js/support/issuer.js'
import { newMasterKey } from '../issuer/growth.js'
import { startPostgresIfThere } from '../issuer/postgres.js'

/** Logins are slow on purpose, so that there are fewer. */
const [SESSIONS, REFRESHES_EACH, FETCHES] = [100, 20, 5000]

/** The unit of processor time in /proc: seconds. */
const TICK = 0.01

/** PostgreSQL may count the rows of an idle connection so many milliseconds later. */
const COUNTED_AFTER = 11_000

/** The throttle of logins counts by network. */
const FROM_MANY_NETWORKS = ['--trusted-proxies', '127.0.0.0/8']

/**
 * Measures on SQLite, and on PostgreSQL if it is installed. One request after the other, so that each change is a transaction
 * of its own: under load, changes share their transactions.
 */
export async function measureCosts() {
  const folder = await mkdtemp(join(tmpdir(), 'countersign-costs-'))
  const postgres = await startPostgresIfThere(await newMasterKey(folder))
  try {
    const signature = secondsOfSignature()
    const results = { SQLite: await measureOn({ writes: ({ pid }) => bytesWritten(pid), fetches: true }) }
    if (postgres) {
      await postgres.create('costs')
      const writes = () => postgres.sql('costs', 'SELECT pg_current_wal_insert_lsn() - \'0/0\'').then(Number)
      const rows = async () => {
        await sleep(COUNTED_AFTER)
        return Number(await postgres.sql('costs', 'SELECT sum(n_tup_ins + n_tup_upd + n_tup_del) FROM pg_stat_user_tables'))
      }
      results.PostgreSQL = await measureOn({ database: () => postgres.flags('costs'), writes, rows })
    }
    return { signature, results }
  } finally {
    await postgres?.stop()
    await rm(folder, { recursive: true, force: true })
  }
}

/** Returns the bytes of a status list (131,072 bits) with that share of bits set: zlib, then twice base64url. */
export function bytesOfList(share) {
  const bits = new Uint8Array(131_072 / 8)
  const chosen = randomBytes(131_072 * 4)
  for (let index = 0; index < 131_072; index++) {
    if (chosen.readUInt32LE(index * 4) < share * 2 ** 32) bits[index >> 3] |= 1 << (index & 7)
  }
  return Math.ceil((deflateSync(bits, { level: 9 }).length * 16) / 9)
}

/** Returns the time of an RS256 signature in this process, by OpenSSL: the fastest tenth of many. */
function secondsOfSignature() {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const times = Array.from({ length: 2000 }, () => {
    const started = performance.now()
    sign('sha256', Buffer.alloc(300), privateKey)
    return (performance.now() - started) / 1000
  })
  return times.sort((a, b) => a - b)[times.length / 10]
}

async function measureOn({ database, writes, rows = async () => undefined, fetches }) {
  const flags = [...FROM_MANY_NETWORKS, '--status-lists']
  const issuer = await startIssuer({ database, flags, logged: false })
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  const call = (path, options) => exchange(agent, issuer.url, path, options)
  const state = async () => [await processorTime(issuer.pid), await writes(issuer), await rows()]
  const measure = async (count, work) => {
    const before = await state()
    const received = await work()
    const [seconds, written, changed] = (await state()).map((value, at) => (value === undefined ? undefined : (value - before[at]) / count))
    return { seconds, written, changed, received }
  }
  try {
    const sessions = []
    const login = await measure(SESSIONS, () => repeat(SESSIONS, async (at) => {
      const { body, bytes } = await call('/login', { json: USER, from: `10.${at}.0.1` })
      sessions.push(JSON.parse(body).refresh_token)
      return bytes
    }))
    const refresh = await measure(SESSIONS * REFRESHES_EACH, () => repeat(SESSIONS * REFRESHES_EACH, async (at) => {
      const form = { grant_type: 'refresh_token', refresh_token: sessions[at % SESSIONS] }
      const { body, bytes } = await call('/token', { form })
      sessions[at % SESSIONS] = JSON.parse(body).refresh_token
      return bytes
    }))
    const logout = await measure(SESSIONS, () => repeat(SESSIONS, async (at) => {
      const { bytes } = await call('/logout', { form: { refresh_token: sessions[at] } })
      return bytes
    }))
    return { login, refresh, logout, ...(fetches && (await measureFetches(call, measure))) }
  } finally {
    agent.destroy()
    await issuer.stop()
  }
}

/** Measures what an issuer answers from memory. The list has been read in the second before. */
async function measureFetches(call, measure) {
  const fetching = (path, etag) => measure(FETCHES, () => repeat(FETCHES, async () => (await call(path, { etag })).bytes))
  const [keySet, list] = [await call(KEY_SET), await call(LIST)]
  return {
    'key set, 304': await fetching(KEY_SET, keySet.etag),
    'key set, 200': await fetching(KEY_SET),
    [`status list of ${SESSIONS} ended sessions, 304`]: await fetching(LIST, list.etag),
    [`status list of ${SESSIONS} ended sessions, 200`]: await fetching(LIST),
  }
}

const KEY_SET = '/.well-known/jwks.json'
const LIST = '/status/1'

async function repeat(count, once) {
  let last
  for (let at = 0; at < count; at++) last = await once(at)
  return last
}

/** Sends a request over the one connection. `bytes`: those of the response, with its header, without TLS. */
function exchange(agent, origin, path, { json, form, etag, from } = {}) {
  const sent = json ? JSON.stringify(json) : form && String(new URLSearchParams(form))
  const type = json ? 'application/json' : 'application/x-www-form-urlencoded'
  const conditional = { ...(etag && { 'if-none-match': etag }), ...(from && { 'x-forwarded-for': from }) }
  const headers = { ...(sent && { 'content-type': type }), ...conditional }
  return new Promise((resolve, reject) => {
    const asked = request(`${origin}${path}`, { agent, method: sent ? 'POST' : 'GET', headers })
    let before = 0
    asked.on('socket', (socket) => (before = socket.bytesRead))
    asked.on('response', async (response) => {
      const { socket, statusCode, headers } = response
      const body = (await response.setEncoding('utf8').toArray()).join('')
      if (statusCode >= 400) reject(new Error(`the issuer answered ${statusCode} to ${path}: ${body}`))
      resolve({ body, etag: headers.etag, bytes: socket.bytesRead - before })
    })
    asked.on('error', reject)
    asked.end(sent)
  })
}

/** Returns the processor time of a process: seconds, in user mode and in the kernel. */
async function processorTime(pid) {
  const fields = (await readFile(`/proc/${pid}/stat`, 'utf8')).split(') ')[1].split(' ')
  return (Number(fields[11]) + Number(fields[12])) * TICK
}

/** Returns the bytes that a process has sent to the disk. */
async function bytesWritten(pid) {
  return Number(/^write_bytes: (\d+)$/m.exec(await readFile(`/proc/${pid}/io`, 'utf8'))[1])
}
