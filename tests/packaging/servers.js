// Servers of the matrix, and the tools that build them. None uses the network.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { createInterface } from 'node:readline'
import { setTimeout } from 'node:timers/promises'
import { run } from './project.js'

/** Keeps tools from sending telemetry and from looking for updates. */
const SETTINGS = {
  ASTRO_TELEMETRY_DISABLED: '1',
  ASTRO_DISABLE_UPDATE_CHECK: 'true',
  CLOUDFLARE_CF_FETCH_ENABLED: 'false',
  NEXT_TELEMETRY_DISABLED: '1',
  NG_CLI_ANALYTICS: 'false',
  NUXT_TELEMETRY_DISABLED: '1',
  WRANGLER_SEND_METRICS: 'false',
  // A bundler that runs in this process may have set it. Next.js builds nothing in the mode for development.
  NODE_ENV: undefined,
}

/** Matches the line that some print once they listen. */
const LISTENING = /"port":(\d+)|127\.0\.0\.1:(\d+)/

/** Runs a tool to its end. */
export function execute({ program, args, cwd, env }) {
  return run(program, args, { cwd, env: { ...process.env, ...SETTINGS, ...env } })
}

/**
 * Starts a server, calls `work`, and stops the server.
 *
 * @param {{ program: string, args: string[], cwd: string, env?: Record<string, string>, port?: number }} server `port`: the
 *   port that it will listen on, if it does not print it
 * @param {(url: string) => Promise<void>} work gets the server's URL, without a path
 * @throws {Error} with the server's output, if it ends before `work` does or `work` fails
 */
export async function running({ program, args, cwd, env, port }, work) {
  const child = spawn(program, args, { cwd, env: { ...process.env, ...SETTINGS, ...env }, stdio: ['ignore', 'pipe', 'pipe', 'pipe'] })
  let output = ''
  const ended = new Promise((resolve, reject) => {
    child.once('error', reject).once('close', () => reject(new Error(`${program} ended`)))
  })
  const printed = new Promise((resolve) => {
    for (const stream of child.stdio.slice(1)) {
      createInterface(stream).on('line', (line) => {
        output += `${line}\n`
        const match = LISTENING.exec(line)
        if (match) resolve(match[1] ?? match[2])
      })
    }
  })
  const stop = new AbortController()
  const listening = port === undefined ? printed : accepting(port, stop.signal)
  try {
    await Promise.race([ended, listening.then((number) => work(`http://127.0.0.1:${number}`))])
  } catch (error) {
    throw new Error(`${error.message}\n${output}`, { cause: error })
  } finally {
    stop.abort()
    child.kill()
    await ended.catch(() => {})
  }
}

/** Starts a server, requests the paths, and stops the server. */
export function requested(server, ...paths) {
  return running(server, async (url) => {
    for (const path of paths) await assertDone(await fetch(url + path))
  })
}

/** Checks that a response's text is "done", or that a page shows it. */
export async function assertDone(response) {
  const text = await response.text()
  if (!/(^|>)done(<|$)/.test(text)) throw new Error(`HTTP status ${response.status}: ${text}`)
}

/** Waits until something accepts connections. Returns the port. */
async function accepting(port, signal) {
  for (;;) {
    const socket = connect(port, '127.0.0.1')
    try {
      await once(socket, 'connect', { signal })
      return port
    } catch {
      await setTimeout(50, undefined, { signal })
    } finally {
      socket.destroy()
    }
  }
}
