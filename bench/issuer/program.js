// What everything here needs: the program that loads servers, what a process has in memory, medians.
import { execFile } from 'node:child_process'
import { readFile, stat } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { USER } from '../../tests/js/support/issuer.js'

/** Enough that no core is idle while answers are under way. */
export const CONNECTIONS = 32

/** How long a turn takes: so short that what is compared meets the same moments of the machine. */
const SECONDS = 2

/** For clients that come from more networks than one, so that no limit for one of them is in the way. */
export const TRUSTED = ['--trusted-proxies', '127.0.0.0/8']

/** Flags for a login as the user whom `startIssuer` adds. */
export const LOGIN = ['--username', USER.username, '--password', USER.password]

/**
 * How what asks shares the cores of the server: it takes one when it is free, and interrupts no signature to do so
 * (SCHED_BATCH).
 */
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
    /** What so many cores do in a second with nothing else to do: all, or those that `within` leaves. */
    raw: (what, { threads = availableParallelism(), within = [] } = {}) =>
      run(within, 'raw', what, '--threads', threads, '--seconds', SECONDS),
    /** @param {string[]} urls servers that the load is spread over */
    load: (kind, urls, { connections = CONNECTIONS, flags = [], within = BETWEEN_ANSWERS } = {}) => {
      const address = urls.map((url) => new URL(url).host).join(',')
      return run(within, 'load', kind, '--address', address, '--connections', connections, '--seconds', SECONDS, ...flags)
    },
  }
}

/** Adds a client, and answers the flags of a load as that client. */
export async function addClient(run) {
  const { client_id, client_secret } = JSON.parse(await run(['client', 'add', 'bench', '--scope', 'read write', '--json']))
  return ['--authorization', basic(client_id, client_secret)]
}

export function basic(id, secret) {
  return `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}`
}

/** What a process has in memory, in MiB: now, or at most so far. */
export async function memoryOf(pid, which = 'VmRSS') {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return Number(new RegExp(`^${which}:\\s+(\\d+) kB$`, 'm').exec(status)[1]) / 1024
}

/** Waits until somebody answers. */
export async function answers(url) {
  for (let attempt = 0; attempt < 100; attempt++) {
    if (await fetch(url).then(({ ok }) => ok, () => false)) return true
    await sleep(50)
  }
  return false
}

export function exists(path) {
  return stat(path).then(() => true, () => false)
}

export function median(values) {
  const sorted = values.toSorted((a, b) => a - b)
  return (sorted[Math.floor((sorted.length - 1) / 2)] + sorted[Math.ceil((sorted.length - 1) / 2)]) / 2
}

/** The median, over the rounds, of the ratios within each round. */
export function ratio(values, others) {
  return median(values.map((value, round) => value / others[round]))
}
