// A primary with a synchronous standby: an answered commit is on both.
import { execFile } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { Postgres } from '../js/support/postgres.js'

const NAME = 'system'

/** A server with a full disk cannot write beyond this many bytes of a file. It needs no disk of its own, and no root. */
const FULL = 8192

export class Database {
  #primary
  #standby
  /** The time since when the primary does not run. */
  downSince

  static async start() {
    const database = new Database()
    const primary = await Postgres.start()
    database.#primary = primary
    await primary.create(NAME)
    for (const setting of ["synchronous_standby_names = '*'", "wal_keep_size = '512MB'"]) {
      await primary.sql('postgres', `ALTER SYSTEM SET ${setting}`)
    }
    await primary.sql('postgres', 'SELECT pg_reload_conf()')
    database.#standby = await primary.standby()
    await database.#synchronous()
    return database
  }

  /** Returns the address of both servers. */
  url() {
    return this.#primary.url(NAME, this.#standby)
  }

  /** Runs statements on the primary. */
  sql(statements) {
    return this.#primary.sql(NAME, statements)
  }

  async crash() {
    this.downSince = Date.now()
    await this.#primary.crash()
  }

  async restart() {
    // From now on it may be there at any moment.
    this.downSince = undefined
    await this.#primary.startAgain()
    await this.#synchronous()
  }

  /** Makes the standby the primary after a crash, and then the crashed server the standby. */
  async failOver() {
    ;[this.#primary, this.#standby] = [this.#standby, this.#primary]
    this.downSince = undefined
    await this.#primary.promote()
    await this.#standby.follow(this.#primary)
    await this.#synchronous()
  }

  async crashStandby() {
    await this.#standby.crash()
  }

  async restartStandby() {
    await this.#standby.startAgain()
    await this.#synchronous()
  }

  async fillDisk() {
    await this.#limitFiles(FULL)
  }

  /** A server whose disk is full may have ended. */
  async freeDisk() {
    for (let attempt = 0; attempt < 100; attempt++) {
      await this.#limitFiles('unlimited')
      if ((await this.#primary.processes()).length === 0) {
        await this.#primary.crash()
        await this.#primary.startAgain()
      }
      const works = await this.sql('SELECT 1').then(() => true, () => false)
      if (works) return this.#synchronous()
      await sleep(200)
    }
    throw new Error('the database does not recover from a full disk')
  }

  async stop() {
    await this.#primary.stop()
    await this.#standby.stop()
  }

  async #limitFiles(limit) {
    for (const id of await this.#primary.processes()) {
      // The process may have ended meanwhile.
      await promisify(execFile)('prlimit', [`--fsize=${limit}:`, `--pid=${id}`]).catch(() => {})
    }
  }

  /** Waits until commits wait for the standby. */
  async #synchronous() {
    for (let attempt = 0; attempt < 600; attempt++) {
      const state = await this.#primary.sql('postgres', 'SELECT sync_state FROM pg_stat_replication').catch(() => '')
      if (state === 'sync') return
      await sleep(100)
    }
    throw new Error('the standby does not follow')
  }
}
