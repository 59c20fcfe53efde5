import { spawn } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from '../../tests/js/support/issuer.js'
import { answers } from './program.js'

/** Serves the bytes and the headers of the issuer's key set; `undefined` where there is no nginx. */
export async function startNginx(issuer) {
  const folder = await mkdtemp(join(tmpdir(), 'countersign-nginx-'))
  const port = await freePort()
  const response = await fetch(`${issuer}/.well-known/jwks.json`)
  await mkdir(join(folder, '.well-known'))
  await writeFile(join(folder, '.well-known/jwks.json'), await response.text())
  const kept = ['cache-control', 'content-security-policy', 'referrer-policy', 'x-content-type-options']
  const headers = kept.map((name) => `add_header ${name} "${response.headers.get(name)}";`).join('\n')
  await writeFile(
    join(folder, 'nginx.conf'),
    `daemon off; ${process.getuid?.() === 0 ? 'user root;' : ''} pid ${folder}/pid; worker_processes auto; error_log stderr;
    events {}
    http {
      access_log off; default_type application/jwk-set+json; keepalive_requests 1000000000;
      client_body_temp_path ${folder}/1; proxy_temp_path ${folder}/2; fastcgi_temp_path ${folder}/3;
      uwsgi_temp_path ${folder}/4; scgi_temp_path ${folder}/5; open_file_cache max=10;
      server { listen 127.0.0.1:${port}; root ${folder}; ${headers} }
    }`,
  )
  const child = spawn('nginx', ['-p', folder, '-c', join(folder, 'nginx.conf')], { stdio: ['ignore', 'ignore', 'pipe'] })
  let log = ''
  child.stderr.on('data', (chunk) => (log += chunk))
  const ended = new Promise((resolve) => child.once('error', resolve).once('close', resolve))
  const url = `http://127.0.0.1:${port}`
  const stop = async () => {
    child.kill()
    await ended
    await rm(folder, { recursive: true, force: true })
  }
  const found = await Promise.race([ended.then(() => false), answers(`${url}/.well-known/jwks.json`)])
  if (found) return { url, stop }
  await stop()
  console.log(`  nginx is left out: ${log.trim().split('\n')[0] || 'there is none; Debian has it as the package nginx'}`)
  return undefined
}
