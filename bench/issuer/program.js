// Shared by everything here: the load program, issuers under load, other servers, and the memory of a process.
import { execFile, spawn } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { startIssuer, USER } from '../../tests/js/support/issuer.js'
import { median } from '../lib/measure.js'

/** Enough to keep every core busy while answers are in flight. */
export const CONNECTIONS = 32

/** The length of a turn. It is so short that all contestants meet the same moments of the machine. */
const SECONDS = 2

/** Trusts the client addresses that the load claims. They come from many networks, so that no throttle applies. */
const TRUSTED = ['--trusted-proxies', '127.0.0.0/8']

/** Flags for a login as the user of `startIssuer`. */
export const LOGIN = ['--username', USER.username, '--password', USER.password]

/** Lets the load share the server's cores without interrupting a signature (SCHED_BATCH). */
const BETWEEN_ANSWERS = ['chrt', '--batch', '0']

/** @param {string} path the program of `bench/load` */
export function measuring(path) {
  const run = async (within, ...args) => {
    const [program, ...rest] = [...within, path, ...args].map(String)
    return JSON.parse((await promisify(execFile)(program, rest)).stdout)
  }
  return {
    /** Adds users to a database. */
    fill: (...options) => run([], 'fill', ...options),
    /** Counts how much work the threads do per second with nothing else to do. */
    raw: (what, { threads = availableParallelism(), within = [] } = {}) =>
      run(within, 'raw', what, '--threads', threads, '--seconds', SECONDS),
    /** @param {string[]} urls servers that share the load */
    load: (kind, urls, { connections = CONNECTIONS, flags = [], within = BETWEEN_ANSWERS } = {}) => {
      const address = urls.map((url) => new URL(url).host).join(',')
      return run(within, 'load', kind, '--address', address, '--connections', connections, '--seconds', SECONDS, ...flags)
    },
  }
}

/** Starts an issuer for the load, as `startIssuer` does. */
export function startLoadedIssuer(options) {
  return startIssuer({ flags: TRUSTED, logged: false, ...options })
}

/** Starts an issuer on a database that `makeDatabase` has made. */
export function startIssuerOn(flags) {
  return startLoadedIssuer({ database: () => flags, prepare: async () => {} })
}

/** Adds a client, and returns the flags of a load as that client. */
export async function addClient(run) {
  const { client_id, client_secret } = JSON.parse(await run(['client', 'add', 'bench', '--scope', 'read write', '--json']))
  return ['--authorization', basic(client_id, client_secret)]
}

export function basic(id, secret) {
  return `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}`
}

/**
 * Starts a server, and waits until it answers.
 *
 * @param {string[]} command
 * @param {string} url answers with success once the server is ready
 * @param {NodeJS.ProcessEnv} [env]
 * @returns {Promise<{ pid: number, stop: () => Promise<void> }>}
 * @throws {Error} the first line of its log, if it does not answer
 */
export async function startServer([program, ...args], url, env = process.env) {
  const child = spawn(program, args.map(String), { env, stdio: ['ignore', 'ignore', 'pipe'] })
  let log = ''
  child.stderr.on('data', (chunk) => (log += chunk))
  child.once('error', ({ message }) => (log += message))
  const ended = new Promise((resolve) => child.once('error', resolve).once('close', resolve))
  const stop = async () => {
    child.kill()
    await ended
  }
  if (await Promise.race([ended.then(() => false), answers(url)])) return { pid: child.pid, stop }
  await stop()
  throw new Error(log.trim().split('\n')[0] || `${program} does not start`)
}

async function answers(url) {
  for (let attempt = 0; attempt < 100; attempt++) {
    if (await fetch(url).then(({ ok }) => ok, () => false)) return true
    await sleep(50)
  }
  return false
}

/** Returns the memory of a process in MiB: now, or with `VmHWM` at its peak. */
export async function memoryOf(pid, which = 'VmRSS') {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return Number(new RegExp(`^${which}:\\s+(\\d+) kB$`, 'm').exec(status)[1]) / 1024
}

/** Returns the median, over the rounds, of the ratios within each round. */
export function ratio(values, others) {
  return median(values.map((value, round) => value / others[round]))
}
