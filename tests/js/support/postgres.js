// A PostgreSQL server in a temporary folder, as `issuer/tests/issuer/cluster.rs` starts one.
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chown, mkdtemp, readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { freePort } from './issuer.js'

/** PostgreSQL refuses to run as root. This is `nobody`. */
const NOBODY = 65534
const PASSWORD = 'for-tests-alone'

/** Stops the server and removes its folder when its input ends, even if this process is killed. */
const GUARD = '"$0" -D data -h 127.0.0.1 -k "$PWD" "$@" & server=$!; read -r word; kill -INT $server; wait $server; rm -rf "$PWD"'

/**
 * Starts a server. By default its settings are PostgreSQL's, so that each commit is on the disk.
 *
 * @param {string} masterKey the path of the issuers' master key
 * @param {string[]} [settings] other settings, such as `fsync=off`
 * @returns {Promise<{ flags: (name: string) => string[], create: (name: string) => Promise<void>,
 *   sql: (name: string, statements: string) => Promise<string>, stop: () => Promise<void> }>} `flags`: the
 *   issuer's flags for the database of that name
 */
export async function startPostgres(masterKey, settings = []) {
  const binaries = process.env.COUNTERSIGN_POSTGRES
  if (!binaries) {
    throw new Error(
      'COUNTERSIGN_POSTGRES is not set: it is the folder of PostgreSQL\'s initdb. `cargo xtask test` finds it and sets it; ' +
        'by hand on Debian: sudo apt-get install postgresql, then COUNTERSIGN_POSTGRES=/usr/lib/postgresql/VERSION/bin',
    )
  }
  const folder = await mkdtemp(join(tmpdir(), 'countersign-postgres-'))
  const root = process.getuid?.() === 0
  const options = { cwd: folder, env: { ...process.env, LC_ALL: 'C' }, ...(root && { uid: NOBODY, gid: NOBODY }) }
  if (root) await chown(folder, NOBODY, NOBODY)
  await writeFile(join(folder, 'password'), PASSWORD)
  const made = ['--no-sync', '-A', 'scram-sha-256', '-U', 'postgres', '-E', 'UTF8', '--locale=C', '-D', 'data', '--pwfile=password']
  await promisify(execFile)(join(binaries, 'initdb'), made, options)
  const port = await freePort()
  const args = ['-p', String(port), ...settings.flatMap((setting) => ['-c', setting])]
  const guard = spawn('sh', ['-c', GUARD, join(binaries, 'postgres'), ...args], { ...options, stdio: ['pipe', 'ignore', 'ignore'] })
  const stop = async () => {
    const exited = once(guard, 'exit')
    guard.stdin.end()
    await exited
  }
  const url = (name) => `postgres://postgres:${PASSWORD}@127.0.0.1:${port}/${name}`
  const sql = async (name, statements) => {
    const args = ['-X', '-A', '-t', '-q', '-v', 'ON_ERROR_STOP=1', '-d', url(name), '-c', statements]
    return (await promisify(execFile)(join(binaries, 'psql'), args)).stdout.trim()
  }
  try {
    await ready(join(folder, 'data/postmaster.pid'))
    const create = async (name) => void (await sql('postgres', `CREATE DATABASE ${name}`))
    return { flags: (name) => ['--database', url(name), '--master-key-file', masterKey], create, sql, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

async function ready(state) {
  for (let attempt = 0; attempt < 600; attempt++) {
    const text = await readFile(state, 'utf8').catch(() => '')
    if (text.includes('ready')) return
    await sleep(50)
  }
  throw new Error('PostgreSQL does not start')
}
