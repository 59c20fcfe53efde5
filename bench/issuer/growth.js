// Rates, latencies, memory, file sizes and start-up with more and more users and sessions.
import { randomBytes } from 'node:crypto'
import { copyFile, mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { addUser, startIssuer, USER } from '../../tests/js/support/issuer.js'
import { median } from '../lib/measure.js'
import { addClient, LOGIN, memoryOf, startIssuerOn } from './program.js'

export const SIZES = [1e4, 1e5, 1e6]

/** Returns the results for each size. */
export async function growSqlite({ tools, rounds }) {
  const folder = await mkdtemp(join(tmpdir(), 'countersign-growth-'))
  try {
    const masterKey = await newMasterKey(folder)
    const path = (size) => join(folder, `${size}.db`)
    const flags = (size) => ['--database', `sqlite://${path(size)}`, '--master-key-file', masterKey]
    const [first] = SIZES
    const client = await makeDatabase(flags(first))
    const databases = []
    let before = 0
    for (const size of SIZES) {
      if (size !== first) await copyFile(path(before), path(size))
      const filled = await tools.fill('--database', path(size), '--from', before, '--to', size, '--like', USER.username)
      const { size: file } = await stat(path(size))
      console.log(`  filled: ${size} users and sessions, ${(file / 2 ** 20).toFixed(0)} MiB, ${filled.seconds.toFixed(1)} s`)
      databases.push({ size, flags: flags(size), file, bytes: filled.bytes })
      before = size
    }
    return await measureAll({ tools, rounds, databases, client, folder, name: 'SQLite' })
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** The same on PostgreSQL. */
export async function growPostgres({ tools, rounds, postgres, folder }) {
  const databases = []
  let client
  for (const size of SIZES) {
    const name = `growth${size}`
    await postgres.create(name)
    client = await makeDatabase(postgres.flags(name))
    const started = performance.now()
    await fillPostgres(postgres, name, size)
    const file = Number(await postgres.sql(name, 'SELECT pg_database_size(current_database())'))
    const seconds = (performance.now() - started) / 1000
    console.log(`  filled: ${size} users and sessions, ${(file / 2 ** 20).toFixed(0)} MiB, ${seconds.toFixed(1)} s`)
    const table = (one) => `pg_total_relation_size('countersign.${one}')`
    const [users, sessions] = (await postgres.sql(name, `SELECT ${table('users')}, ${table('sessions')}`)).split('|').map(Number)
    databases.push({ size, flags: postgres.flags(name), file, bytes: { users, sessions }, client })
  }
  return await measureAll({ tools, rounds, databases, client, folder, name: 'PostgreSQL' })
}

export async function newMasterKey(folder) {
  const path = join(folder, 'master-key')
  await writeFile(path, randomBytes(32).toString('base64'), { mode: 0o600 })
  return path
}

/** Makes a database with a key, a user and a client. Returns the flags of a load as that client. */
export async function makeDatabase(flags) {
  let client
  const prepare = async (run) => {
    await addUser(run)
    client = await addClient(run)
  }
  const issuer = await startIssuer({ database: () => flags, prepare, logged: false })
  await issuer.stop()
  return client
}

async function fillPostgres(postgres, name, size) {
  const now = 'extract(epoch FROM now())::bigint'
  const user = "'user_' || lpad(i::text, 16, '0')"
  // As in `bench/load/src/fill.rs`.
  await postgres.sql(
    name,
    `INSERT INTO countersign.users (id, name, scope, password_hash, created_at, locked)
       SELECT ${user}, 'user' || i || '@example.com', 'read write', one.password_hash, ${now}, false
       FROM generate_series(0, ${size - 1}) i, countersign.users one WHERE one.name = '${USER.username}';
     INSERT INTO countersign.sessions
         (id, user_id, client_id, scope, counter, created_at, rotated_at, expires_at, revoked)
       SELECT substring(sha256(convert_to('session ' || i, 'UTF8')) FROM 1 FOR 16), ${user}, 'client_first_party',
         'read write', 0, ${now}, ${now}, ${now} + 86400 + i % 518400, false FROM generate_series(0, ${size - 1}) i`,
  )
  await postgres.sql(name, 'VACUUM ANALYZE')
}

/** Measures all sizes side by side. */
async function measureAll({ tools, rounds, databases, client, folder, name }) {
  const running = []
  try {
    for (const database of databases) {
      const started = performance.now()
      const issuer = await startIssuerOn(database.flags)
      const startup = performance.now() - started
      const tokens = join(folder, `tokens-${database.size}`)
      const measured = { refreshes: [], clients: [], logins: [] }
      running.push({ ...database, issuer, tokens, startup, idle: await memoryOf(issuer.pid), measured })
    }
    for (let round = 1; round <= rounds; round++) {
      for (const one of running) {
        const ask = async (kind, flags) => one.measured[kind].push(await tools.load(kind, [one.issuer.url], { flags }))
        await ask('logins', [...LOGIN, '--users', one.size, '--tokens', one.tokens])
        // The logins have just opened these sessions. Their random ids are spread over the whole table.
        await ask('refreshes', ['--tokens', one.tokens])
        await ask('clients', one.client ?? client)
        const rates = Object.entries(one.measured).map(([kind, all]) => `${kind} ${Math.round(all.at(-1).per_second)}`)
        console.log(`  round ${round} of ${rounds}: ${name}, ${one.size} users: ${rates.join(', ')} a second`)
      }
    }
    for (const one of running) one.peak = await memoryOf(one.issuer.pid, 'VmHWM')
  } finally {
    await Promise.all(running.map(({ issuer }) => issuer.stop()))
  }
  return running.map(({ size, file, bytes, startup, idle, peak, measured }) => ({
    size,
    file,
    bytes_each: { user: bytes.users / size, session: bytes.sessions / size },
    startup,
    memory: { idle, peak },
    measured,
  }))
}

/** Returns the rows of a table of results. */
export function growthRows(results) {
  const of = (all) => [
    Math.round(median(all.map(({ per_second }) => per_second))),
    (median(all.map(({ microseconds }) => microseconds.p50)) / 1000).toFixed(1),
    (median(all.map(({ microseconds }) => microseconds.p99)) / 1000).toFixed(1),
  ]
  return results.map(({ size, file, startup, memory, measured }) => [
    size,
    ...Object.values(measured).flatMap(of),
    (file / 2 ** 20).toFixed(0),
    memory.peak.toFixed(0),
    startup.toFixed(0),
  ])
}

export const GROWTH_HEAD = ['users', ...['refreshes', 'clients', 'logins'].flatMap((kind) => [kind, 'p50', 'p99']), 'MiB', 'memory', 'start']
