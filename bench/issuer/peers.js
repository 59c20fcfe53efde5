// The servers that the issuer is compared with: oidc-provider, nginx, and the least server that signs.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { freePort } from '../../tests/js/support/issuer.js'
import { basic, startServer } from './program.js'

const CLIENT = ['client_bench', 'not a secret: for benchmarks alone']
const FORM = 'grant_type=client_credentials&scope=read%20write'

/**
 * Starts oidc-provider, and checks one of its tokens.
 *
 * @param {string[]} within the program that starts it
 */
export async function startOidcProvider(within) {
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const script = fileURLToPath(new URL('oidc-provider.js', import.meta.url))
  const command = [...within, process.execPath, script, port, ...CLIENT]
  const server = await startServer(command, `${url}/jwks`, { ...process.env, NODE_ENV: 'production' })
  try {
    const authorization = basic(...CLIENT.map(encodeURIComponent))
    const headers = { authorization, 'content-type': 'application/x-www-form-urlencoded' }
    const response = await fetch(`${url}/token`, { method: 'POST', headers, body: FORM })
    const { access_token = '' } = await response.json()
    const { alg, typ } = JSON.parse(Buffer.from(access_token.split('.')[0], 'base64url').toString() || '{}')
    if (alg !== 'RS256' || typ !== 'at+jwt') throw new Error(`oidc-provider gives no RS256 access token (${response.status})`)
    return { url, flags: ['--authorization', authorization, '--form', FORM], ...server }
  } catch (error) {
    await server.stop()
    throw error
  }
}

/** Serves the bytes and the headers of the issuer's key set. Returns `undefined` without nginx. */
export async function startNginx(issuer) {
  const folder = await mkdtemp(join(tmpdir(), 'countersign-nginx-'))
  const port = await freePort()
  const response = await fetch(`${issuer}/.well-known/jwks.json`)
  await mkdir(join(folder, '.well-known'))
  await writeFile(join(folder, '.well-known/jwks.json'), await response.text())
  const kept = ['cache-control', 'content-security-policy', 'referrer-policy', 'x-content-type-options']
  const headers = kept.map((name) => `add_header ${name} "${response.headers.get(name)}";`).join('\n')
  const configuration = join(folder, 'nginx.conf')
  await writeFile(
    configuration,
    `daemon off; ${process.getuid?.() === 0 ? 'user root;' : ''} pid ${folder}/pid; worker_processes auto; error_log stderr;
    events {}
    http {
      access_log off; default_type application/jwk-set+json; keepalive_requests 1000000000;
      client_body_temp_path ${folder}/1; proxy_temp_path ${folder}/2; fastcgi_temp_path ${folder}/3;
      uwsgi_temp_path ${folder}/4; scgi_temp_path ${folder}/5; open_file_cache max=10;
      server { listen 127.0.0.1:${port}; root ${folder}; ${headers} }
    }`,
  )
  const url = `http://127.0.0.1:${port}`
  const remove = () => rm(folder, { recursive: true, force: true })
  try {
    const server = await startServer(['nginx', '-p', folder, '-c', configuration], `${url}/.well-known/jwks.json`)
    return { url, stop: () => server.stop().then(remove) }
  } catch (error) {
    await remove()
    console.log(`  nginx is left out: ${error.message} (Debian: the package nginx-light)`)
    return undefined
  }
}

/**
 * Starts the least server that signs.
 *
 * @param {string[]} command the program of `bench/load`, and the program that starts it
 */
export async function startLeast([program, ...args]) {
  const child = spawn(program, [...args, 'least'], { stdio: ['ignore', 'pipe', 'inherit'] })
  const ended = once(child, 'exit')
  const [address] = await Promise.race([
    once(createInterface({ input: child.stdout }), 'line'),
    ended.then(() => Promise.reject(new Error('the least server does not start'))),
  ])
  const stop = async () => {
    child.kill()
    await ended
  }
  return { url: `http://${address}`, stop }
}
