// The issuers: processes of the real binary on one database, and their intervals, which bound the verdicts of verifiers.
import { access, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { randomBytes } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { addUser, startIssuer } from '../js/support/issuer.js'

/** The lifetime of an access token: seconds. */
export const ACCESS_TTL = 20

/** An ended session is in the status list after this time: seconds (docs/issuer.md, "Status lists"). */
export const POLL = 1

/** The clocks of two issuers differ by less: seconds. */
export const CLOCK_SKEW = 15

const SETTINGS = {
  '--access-ttl': `${ACCESS_TTL}s`,
  '--jwks-max-age': '4s',
  '--clock-skew': `${CLOCK_SKEW}s`,
  // The shortest that is permitted.
  '--rotation-period': '49s',
  // A client that got no answer comes back after the faults, maybe to the other issuer.
  '--refresh-grace': '1h',
  '--trusted-proxies': '127.0.0.1/32',
}

/** All issuers. One that is killed is started again with the same settings. */
export class Issuers {
  #folder
  #flags
  #origins
  #database
  #issuers = []
  /** For each issuer, the seconds by which its clock is ahead. */
  #clocks

  /** Starts `count` issuers, whose URL is that of the proxy. Pages of `origin` may call them. */
  static async start(count, database, url, origin) {
    const issuers = new Issuers()
    issuers.#folder = await mkdtemp(join(tmpdir(), 'countersign-system-'))
    const key = join(issuers.#folder, 'master.key')
    await writeFile(key, randomBytes(32).toString('base64'), { mode: 0o600 })
    issuers.#database = () => ['--database', database.url(), '--master-key-file', key]
    issuers.#flags = ['--status-lists', '--issuer', url, ...Object.entries(SETTINGS).flat()]
    issuers.#origins = origin === undefined ? [] : [origin]
    issuers.#clocks = Array(count).fill(0)
    for (let index = 0; index < count; index++) await issuers.start(index, index === 0 ? addUser : undefined)
    return issuers
  }

  get count() {
    return this.#clocks.length
  }

  /** Returns the issuer: its address, process and log. `undefined` while it does not run. */
  at(index) {
    return this.#issuers[index]
  }

  /** Returns the seconds by which the issuer's clock is ahead. */
  clockOf(index) {
    return this.#clocks[index]
  }

  async start(index, prepare = async () => {}) {
    const within = this.#clocks[index] === 0 ? [] : await withClock(this.#clocks[index])
    this.#issuers[index] = await startIssuer({ flags: this.#flags, corsOrigins: this.#origins, database: this.#database, prepare, within })
  }

  async kill(index) {
    const issuer = this.#issuers[index]
    this.#issuers[index] = undefined
    process.kill(issuer.pid, 'SIGKILL')
    await issuer.stop()
  }

  /** Starts the issuer again with another clock. */
  async setClock(index, ahead) {
    await this.kill(index)
    this.#clocks[index] = ahead
    await this.start(index)
  }

  async stop() {
    await Promise.all(this.#issuers.map((issuer) => issuer?.stop()))
    await rm(this.#folder, { recursive: true, force: true })
  }
}

/** Returns the command that starts a program with another clock. */
async function withClock(ahead) {
  const folders = ['/usr/lib', '/usr/lib/x86_64-linux-gnu', '/usr/lib/aarch64-linux-gnu']
  for (const library of folders.map((folder) => join(folder, 'faketime/libfaketimeMT.so.1'))) {
    if (!(await access(library).then(() => true, () => false))) continue
    return ['env', `LD_PRELOAD=${library}`, `FAKETIME=+${ahead}s`, 'FAKETIME_DONT_FAKE_MONOTONIC=1']
  }
  throw new Error('libfaketime is not installed: install it (Debian: `sudo apt-get install faketime`), or set COUNTERSIGN_SKIP=faketime')
}
