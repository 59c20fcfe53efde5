import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

const STOP_MS = 15_000

/** The user that `startIssuer` adds. */
export const USER = { username: 'demo', password: 'not a secret: for tests alone' }

const USER_SCOPE = 'read write'

/**
 * Starts the real issuer. By default it has a new database in a temporary folder, with one user.
 *
 * @param {object} [options]
 * @param {string[]} [options.corsOrigins] origins of pages that may call it
 * @param {string} [options.path] the path of its URL, such as `/auth`
 * @param {number} [options.port] its port; a free one by default
 * @param {string} [options.admin] the address of its admin listener
 * @param {string[]} [options.flags] more flags, such as `['--access-ttl', '1m']`
 * @param {boolean} [options.logged] true if its log is read, which under load takes longer than writing it
 * @param {(folder: string) => string[]} [options.database] the flags that name the database
 * @param {(run: (args: string[], stdin?: string) => Promise<string>) => Promise<unknown>} [options.prepare] prepares
 *   the database before the issuer serves
 * @param {string[]} [options.within] the program that starts it, such as `['taskset', '-c', '0']`
 * @returns {Promise<{ url: string, pid: number, log: import('node:stream').Readable, command: (...args: string[]) => string[],
 *   run: (args: string[], stdin?: string) => Promise<string>, stop: () => Promise<void> }>} `url` is its address and its `iss`;
 *   `command` returns program and arguments for another command on the same database, `run` runs it and returns its stdout;
 *   `stop` stops the issuer and removes the folder
 */
export async function startIssuer({
  corsOrigins = [],
  path = '',
  port = 0,
  admin = 'none',
  flags = [],
  logged = true,
  database = (folder) => ['--database', `sqlite://${join(folder, 'test.db')}`],
  prepare = addUser,
  within = [],
} = {}) {
  const binary = issuerBinary()
  const folder = await mkdtemp(join(tmpdir(), 'countersign-issuer-'))
  const command = (...args) => [binary, ...database(folder), ...args]
  const run = (args, stdin = '') => runCommand(command(...args), stdin)
  try {
    await prepare(run)
    const origins = corsOrigins.length === 0 ? [] : ['--cors-origins', corsOrigins.join(',')]
    // Without a path, the issuer's URL is its address by default.
    if (path !== '') port = await freePort()
    const named = path === '' ? [] : ['--issuer', `http://127.0.0.1:${port}${path}`]
    const listen = ['--listen', `127.0.0.1:${port}`, '--admin-listen', admin]
    const [program, ...args] = [...within, ...command('serve', ...listen, ...named, ...origins, ...flags)]
    const child = spawn(program, args, { env: cleanEnv(), stdio: ['ignore', 'pipe', logged ? 'pipe' : 'ignore'] })
    const url = `${await address(child)}${path}`
    const stop = async () => {
      await stopChild(child)
      await rm(folder, { recursive: true, force: true })
    }
    return { url, pid: child.pid, log: child.stderr, command, run, stop }
  } catch (error) {
    await rm(folder, { recursive: true, force: true })
    throw error
  }
}

/** Adds the user. */
export function addUser(run) {
  return run(['user', 'add', USER.username, '--scope', USER_SCOPE], `${USER.password}\n`)
}

/**
 * Logs a user in.
 *
 * @param {string} url the issuer's
 * @param {{ username: string, password: string }} [user] the one that `startIssuer` adds, by default
 * @returns {Promise<{ access_token: string, refresh_token: string, expires_in: number }>}
 */
export async function logIn(url, user = USER) {
  const headers = { 'content-type': 'application/json' }
  const response = await fetch(`${url}/login`, { method: 'POST', headers, body: JSON.stringify(user) })
  if (!response.ok) throw new Error(`the issuer answered ${response.status} to a login`)
  return response.json()
}

/** Returns a port of 127.0.0.1 that was just free, for addresses that must be known before the server starts. */
export async function freePort() {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  server.close()
  await once(server, 'close')
  return port
}

/** Returns the path of the issuer. */
export function issuerBinary() {
  const path = process.env.COUNTERSIGN_ISSUER_BINARY
  if (path) return path
  throw new Error(
    'COUNTERSIGN_ISSUER_BINARY is not set: it is the path of the issuer. `cargo xtask test` builds it and sets it; ' +
      'by hand: cargo build -p countersign-issuer, then COUNTERSIGN_ISSUER_BINARY=target/debug/countersign-issuer',
  )
}

/** Returns the environment without the issuer's variables: tests configure it by flags. */
function cleanEnv() {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('COUNTERSIGN_')))
}

function runCommand([program, ...args], stdin) {
  return new Promise((resolve, reject) => {
    const child = execFile(program, args, { env: cleanEnv() }, (error, stdout, stderr) => {
      if (error) reject(new Error(`${args.slice(2).join(' ')}: ${stderr.trim() || error.message}`))
      else resolve(stdout)
    })
    // A command that refuses early closes its stdin. Its exit code is reported, not the broken pipe.
    child.stdin.on('error', () => {})
    child.stdin.end(stdin)
  })
}

/** Waits for the line that the issuer prints once it listens. */
async function address(child) {
  let log = ''
  child.stderr?.on('data', (chunk) => {
    log = (log + chunk).slice(-4000)
  })
  const [line] = await Promise.race([
    once(createInterface({ input: child.stdout }), 'line'),
    once(child, 'exit').then(() => ['']),
  ])
  const [, url] = /^countersign-issuer listening on (https?:\/\/\S+)$/.exec(line) ?? []
  if (url === undefined) {
    child.kill()
    throw new Error(`the issuer did not start: ${line || log.trim()}`)
  }
  return url
}

async function stopChild(child) {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  child.kill('SIGTERM')
  const late = setTimeout(() => child.kill('SIGKILL'), STOP_MS)
  await exited
  clearTimeout(late)
}
