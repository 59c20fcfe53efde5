import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { freePort } from '../../tests/js/support/issuer.js'
import { answers, basic } from './program.js'

const CLIENT = ['client_bench', 'not a secret: for benchmarks alone']
const FORM = 'grant_type=client_credentials&scope=read%20write'

/**
 * Starts oidc-provider, and looks at a token of its.
 *
 * @param {string[]} within the program that starts it
 */
export async function startOidcProvider(within = []) {
  const port = await freePort()
  const script = fileURLToPath(new URL('oidc-provider.js', import.meta.url))
  const [program, ...args] = [...within, process.execPath, script, port, ...CLIENT].map(String)
  const env = { ...process.env, NODE_ENV: 'production' }
  const child = spawn(program, args, { env, stdio: ['ignore', 'ignore', 'pipe'] })
  let log = ''
  child.stderr.on('data', (chunk) => (log += chunk))
  const url = `http://127.0.0.1:${port}`
  const stop = () => stopped(child)
  try {
    if (!(await answers(`${url}/jwks`))) throw new Error(`oidc-provider does not start: ${log.trim()}`)
    const authorization = basic(...CLIENT.map(encodeURIComponent))
    const headers = { authorization, 'content-type': 'application/x-www-form-urlencoded' }
    const response = await fetch(`${url}/token`, { method: 'POST', headers, body: FORM })
    const { access_token } = await response.json()
    const [head] = (access_token ?? '').split('.')
    const { alg, typ } = JSON.parse(Buffer.from(head, 'base64url').toString() || '{}')
    if (alg !== 'RS256' || typ !== 'at+jwt') throw new Error(`oidc-provider gives no RS256 access token (${response.status})`)
    return { url, pid: child.pid, flags: ['--authorization', authorization, '--form', FORM], stop }
  } catch (error) {
    await stop()
    throw error
  }
}

/**
 * Starts the least server that signs.
 *
 * @param {string[]} command the program of `bench/load`, and what starts it
 */
export async function startLeast([program, ...args]) {
  const child = spawn(program, [...args, 'least'], { stdio: ['ignore', 'pipe', 'inherit'] })
  const [address] = await Promise.race([
    once(createInterface({ input: child.stdout }), 'line'),
    once(child, 'exit').then(() => Promise.reject(new Error('the least server does not start'))),
  ])
  return { url: `http://${address}`, stop: () => stopped(child) }
}

async function stopped(child) {
  if (child.exitCode === null && child.signalCode === null && child.kill()) await once(child, 'exit')
}
