// PostgreSQL servers in temporary folders, as `issuer/tests/issuer/cluster.rs` starts them.
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chown, mkdtemp, readFile, readlink, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { freePort } from './issuer.js'

/** PostgreSQL refuses to run as root. This is `nobody`. */
const NOBODY = 65534
const PASSWORD = 'for-tests-alone'
const STATE = 'data/postmaster.pid'

/**
 * Stops the server when its input ends, even if this process is killed. Removes the folder too, unless it reads `keep`.
 */
const GUARD =
  '"$0" -D data -h 127.0.0.1 -k "$PWD" "$@" & server=$!; read -r word; kill -INT $server; wait $server; [ "$word" = keep ] || rm -rf "$PWD"'

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
  const server = await Postgres.start(settings)
  return {
    flags: (name) => ['--database', server.url(name), '--master-key-file', masterKey],
    create: (name) => server.create(name),
    sql: (name, statements) => server.sql(name, statements),
    stop: () => server.stop(),
  }
}

/** A server that can crash, and have a standby. */
export class Postgres {
  #binaries
  #folder
  #settings
  #port
  #guard

  constructor(binaries, folder, settings, port) {
    this.#binaries = binaries
    this.#folder = folder
    this.#settings = settings
    this.#port = port
  }

  /** Starts a server, as `startPostgres` does. */
  static async start(settings = []) {
    const server = await this.#prepare(settings)
    await writeFile(join(server.#folder, 'password'), PASSWORD)
    const made = ['--no-sync', '-A', 'scram-sha-256', '-U', 'postgres', '-E', 'UTF8', '--locale=C', '-D', 'data', '--pwfile=password']
    await server.#run('initdb', ...made)
    await server.startAgain()
    return server
  }

  /** Starts a server that follows this one. */
  async standby() {
    const standby = await Postgres.#prepare(this.#settings)
    await standby.follow(this)
    return standby
  }

  static async #prepare(settings) {
    const binaries = process.env.COUNTERSIGN_POSTGRES
    if (!binaries) {
      throw new Error(
        'COUNTERSIGN_POSTGRES is not set: it is the folder of PostgreSQL\'s initdb. `cargo xtask test` finds it and sets it; ' +
          'by hand on Debian: sudo apt-get install postgresql, then COUNTERSIGN_POSTGRES=/usr/lib/postgresql/VERSION/bin',
      )
    }
    const folder = await mkdtemp(join(tmpdir(), 'countersign-postgres-'))
    if (isRoot()) await chown(folder, NOBODY, NOBODY)
    return new Postgres(binaries, folder, settings, await freePort())
  }

  /** Makes an empty database. */
  async create(name) {
    await this.sql('postgres', `CREATE DATABASE ${name}`)
  }

  /** Starts the server on the data that are there. */
  async startAgain() {
    const settings = this.#settings.flatMap((setting) => ['-c', setting])
    const args = ['-c', GUARD, join(this.#binaries, 'postgres'), '-p', String(this.#port), ...settings]
    this.#guard = spawn('sh', args, { ...this.#options(), stdio: ['pipe', 'ignore', 'ignore'] })
    for (let attempt = 0; attempt < 600; attempt++) {
      // The last line is the state. A standby never says "ready".
      if (/(ready|standby) *\n$/.test(await this.#state())) return
      await sleep(50)
    }
    await this.stop()
    throw new Error('PostgreSQL does not start')
  }

  /** Kills every process of the server at once, like a power cut. */
  async crash() {
    const server = await this.#process()
    if (server !== undefined) {
      // Stopped first, so that it starts no other process meanwhile.
      signal('SIGSTOP', [server])
      const processes = await this.processes()
      signal('SIGKILL', processes)
      // The next start is refused as long as one of them has its memory.
      while ((await Promise.all(processes.map(runs))).includes(true)) await sleep(5)
    }
    await this.#end('keep\n')
    await rm(join(this.#folder, STATE), { force: true })
  }

  /** Stops the server and removes its folder. */
  stop() {
    return this.#end('')
  }

  /** Makes this standby the primary. */
  async promote() {
    await this.#run('pg_ctl', 'promote', '-D', 'data', '-w')
  }

  /** Makes this server, which does not run, a standby of `primary`. */
  async follow(primary) {
    await rm(join(this.#folder, 'data'), { recursive: true, force: true })
    await this.#run('pg_basebackup', '-D', 'data', '-R', '-X', 'stream', '-c', 'fast', '--no-sync', '-d', primary.url('postgres'))
    await this.startAgain()
  }

  /** Returns the ids of its processes; of none if it does not run. */
  async processes() {
    const server = await this.#process()
    if (server === undefined) return []
    const children = await readFile(`/proc/${server}/task/${server}/children`, 'utf8').catch(() => '')
    return [server, ...children.split(' ').filter(Boolean).map(Number)]
  }

  /** Returns the address for the issuer's setting `database`, with the other servers of `others`. */
  url(database, ...others) {
    const hosts = [this, ...others].map((server) => `127.0.0.1:${server.#port}`)
    return `postgres://postgres:${PASSWORD}@${hosts}/${database}`
  }

  /** Runs statements, and returns the rows as text. */
  async sql(database, statements) {
    const args = ['-X', '-A', '-t', '-q', '-v', 'ON_ERROR_STOP=1', '-d', this.url(database), '-c', statements]
    return (await this.#run('psql', ...args)).stdout.trim()
  }

  async #process() {
    const server = Number((await this.#state()).split('\n')[0])
    return server > 0 && (await runs(server)) ? server : undefined
  }

  #state() {
    return readFile(join(this.#folder, STATE), 'utf8').catch(() => '')
  }

  async #end(word) {
    const exited = once(this.#guard, 'exit')
    this.#guard.stdin.end(word)
    await exited
  }

  #run(program, ...args) {
    return promisify(execFile)(join(this.#binaries, program), args, this.#options())
  }

  #options() {
    const user = isRoot() ? { uid: NOBODY, gid: NOBODY } : {}
    return { cwd: this.#folder, env: { ...process.env, LC_ALL: 'C' }, ...user }
  }
}

function isRoot() {
  return process.getuid?.() === 0
}

/** Some of the processes may be gone already. */
function signal(name, processes) {
  for (const id of processes) {
    try {
      process.kill(id, name)
    } catch (error) {
      if (error.code !== 'ESRCH') throw error
    }
  }
}

/** Returns false for a process that has ended, also if nobody has asked for its status yet. */
function runs(id) {
  return readlink(`/proc/${id}/exe`).then(() => true, () => false)
}
