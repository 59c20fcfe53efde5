// The proxies of `deploy/proxies`, each as its real program with its file.
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { Agent, request } from 'node:https'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { freePort, issuerBinary } from './issuer.js'

/** The name of the issuer in the files. */
export const NAME = 'auth.example'

const FILES = fileURLToPath(new URL('../../../deploy/proxies/', import.meta.url))

/**
 * The proxies. `files`: the first one is the argument of the command; `changes`: texts that the files contain, and texts for
 * a test, which has other folders and ports; `idle`: the change of the time that unused connections to the issuers stay
 * open, which is 60 s in each file; `upstream`: the change of an issuer's address, if it is not written `ADDRESS:PORT`.
 */
export const PROXIES = [
  {
    name: 'nginx',
    files: ['nginx.conf'],
    command: (file) => [process.env.COUNTERSIGN_NGINX || 'nginx', '-c', file, '-g', 'daemon off;'],
    changes: ({ folder, port }) => [
      ['/run/nginx.pid', join(folder, 'pid')],
      ['/var/log/nginx/error.log', 'stderr'],
      ['/var/log/nginx/access.log', join(folder, 'access.log')],
      ['server_tokens off;', TEMPORARY.map((name) => `${name}_temp_path ${join(folder, name)};`).join(' ')],
      ['listen 443 ssl;', `listen 127.0.0.1:${port} ssl;`],
      ['listen [::]:443 ssl;', ''],
      ['/etc/nginx/tls/fullchain.pem', join(folder, 'fullchain.pem')],
      ['/etc/nginx/tls/privkey.pem', join(folder, 'privkey.pem')],
    ],
    idle: (seconds) => ['keepalive 64;\n    keepalive_timeout 60s;', `keepalive 64;\n    keepalive_timeout ${ms(seconds)};`],
  },
  {
    name: 'HAProxy',
    files: ['haproxy.cfg'],
    command: (file) => [process.env.COUNTERSIGN_HAPROXY || 'haproxy', '-db', '-f', file],
    changes: ({ folder, port }) => [
      ['user haproxy', ''],
      ['group haproxy', ''],
      [':443,[::]:443 v6only', `127.0.0.1:${port}`],
      ['/etc/haproxy/auth.example.pem', join(folder, 'both.pem')],
    ],
    idle: (seconds) => ['pool-purge-delay 60s', `pool-purge-delay ${ms(seconds)}`],
  },
  {
    name: 'Caddy',
    files: ['Caddyfile'],
    command: (file) => [installed('caddy'), 'run', '--config', file, '--adapter', 'caddyfile'],
    changes: ({ folder, port }) => [
      ['admin localhost:2019', `admin unix/${join(folder, 'admin')}`],
      ['servers {', `https_port ${port}\n\tdefault_bind 127.0.0.1\n\tservers {`],
      ['/etc/caddy/tls/fullchain.pem', join(folder, 'fullchain.pem')],
      ['/etc/caddy/tls/privkey.pem', join(folder, 'privkey.pem')],
    ],
    idle: (seconds) => ['keepalive 60s', `keepalive ${ms(seconds)}`],
  },
  {
    name: 'Traefik',
    files: ['traefik.yaml', 'traefik-routes.yaml'],
    command: (file) => [installed('traefik'), `--configFile=${file}`],
    changes: ({ folder, port }) => [
      [':443', `127.0.0.1:${port}`],
      ['/etc/traefik/traefik-routes.yaml', join(folder, 'traefik-routes.yaml')],
      ['/etc/traefik/tls/fullchain.pem', join(folder, 'fullchain.pem')],
      ['/etc/traefik/tls/privkey.pem', join(folder, 'privkey.pem')],
    ],
    idle: (seconds) => ['idleConnTimeout: 60s', `idleConnTimeout: ${ms(seconds)}`],
  },
  {
    name: 'Envoy',
    files: ['envoy.yaml'],
    command: (file) => [installed('envoy'), '-c', file, '--disable-hot-restart', '--concurrency', '2', '--log-level', 'warn'],
    changes: ({ folder, port }) => [
      ['address: "::", port_value: 443, ipv4_compat: true', `address: 127.0.0.1, port_value: ${port}`],
      ['/etc/envoy/tls/fullchain.pem', join(folder, 'fullchain.pem')],
      ['/etc/envoy/tls/privkey.pem', join(folder, 'privkey.pem')],
    ],
    upstream: (address, port) => [`address: ${address}, port_value: 8080`, `address: 127.0.0.1, port_value: ${port}`],
    idle: (seconds) => ['idle_timeout: 60s }\n      health', `idle_timeout: ${seconds.toFixed(3)}s }\n      health`],
  },
]

const ms = (seconds) => `${Math.round(seconds * 1000)}ms`

/** nginx's folders for bodies, which it makes at start. */
const TEMPORARY = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']

/** The addresses of the issuers in the files. */
const ISSUERS = ['10.203.0.11', '10.203.0.12']

/**
 * Starts a proxy with its file in front of two servers.
 *
 * @param {object} proxy one of `PROXIES`
 * @param {number[]} ports the ports of the servers on 127.0.0.1
 * @param {[string, string][]} [changes] more texts that the file contains, and texts for the test
 * @returns {Promise<{ port: number, send: (options: object, body?: string) => Promise<{ status: number, headers: object,
 *   body: string }>, stop: () => Promise<void> }>} `send` sends a request over TLS, on a connection that is kept
 */
export async function startProxy(proxy, ports, changes = []) {
  const folder = await mkdtemp(join(tmpdir(), 'countersign-proxy-'))
  const stops = [() => rm(folder, { recursive: true, force: true })]
  const stop = async () => {
    for (const stop of stops.splice(0).reverse()) await stop()
  }
  try {
    const ca = await makeCertificate(folder)
    const port = await freePort()
    await writeFiles(proxy, folder, [...proxy.changes({ folder, port }), ...upstreams(proxy, ports), ...changes])
    const program = spawnProgram(proxy.command(join(folder, proxy.files[0])), folder)
    stops.push(program.stop)
    const agent = new Agent({ keepAlive: true })
    stops.push(() => agent.destroy())
    const send = (options, body) => sendOne({ host: '127.0.0.1', port, agent, ca, servername: NAME, ...options }, body)
    await Promise.race([ready(send), program.failed])
    return { port, send, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

function upstreams({ upstream = (address, port) => [`${address}:8080`, `127.0.0.1:${port}`] }, ports) {
  return ISSUERS.map((address, index) => upstream(address, ports[index]))
}

/** Makes a certificate for `NAME` in the forms that the proxies read. */
async function makeCertificate(folder) {
  const [certificate, key] = [join(folder, 'fullchain.pem'), join(folder, 'privkey.pem')]
  const made = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2']
  const names = ['-subj', `/CN=${NAME}`, '-addext', `subjectAltName=DNS:${NAME}`]
  await promisify(execFile)('openssl', [...made, ...names, '-out', certificate, '-keyout', key])
  const ca = await readFile(certificate, 'utf8')
  await writeFile(join(folder, 'both.pem'), ca + (await readFile(key, 'utf8')))
  return ca
}

/** Writes the files of a proxy with the changes. Each change has to apply, so that a test has the rest of the file. */
async function writeFiles({ files, name }, folder, changes) {
  const texts = await Promise.all(files.map((file) => readFile(join(FILES, file), 'utf8')))
  for (const [from, to] of changes) {
    const changed = texts.findIndex((text) => text.includes(from))
    if (changed === -1) throw new Error(`the file of ${name} does not contain ${from}`)
    texts[changed] = texts[changed].replaceAll(from, to)
  }
  await Promise.all(files.map((file, index) => writeFile(join(folder, file), texts[index])))
}

function spawnProgram([program, ...args], folder) {
  // Caddy keeps its state in these folders.
  const env = { ...process.env, HOME: folder, XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder }
  const child = spawn(program, args, { cwd: folder, env, stdio: ['ignore', 'pipe', 'pipe'] })
  let log = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (log = (log + chunk).slice(-4000)))
  const ended = once(child, 'exit').catch((error) => (log += error.message))
  const failed = ended.then(() => Promise.reject(new Error(`${program} ended: ${log}`)))
  failed.catch(() => {})
  const stop = async () => {
    child.kill()
    await ended
  }
  return { failed, stop }
}

/** Waits until a server is reached through the proxy. */
async function ready(send) {
  let last
  for (let attempt = 0; attempt < 200; attempt++) {
    last = await send({ path: '/healthz/ready' }).catch(({ message }) => ({ status: message }))
    if (last.status === 200) return
    await sleep(100)
  }
  throw new Error(`the proxy does not reach its servers: ${last.status}`)
}

function sendOne({ headers = {}, ...options }, body) {
  return new Promise((resolve, reject) => {
    const sent = request({ ...options, headers: { host: NAME, ...headers } }, async (response) => {
      try {
        const chunks = await response.toArray()
        resolve({ status: response.statusCode, headers: response.headers, body: Buffer.concat(chunks).toString() })
      } catch (error) {
        reject(error)
      }
    })
    sent.on('error', reject)
    sent.end(body)
  })
}

/** `cargo xtask test js` installs these programs beside the issuer, in cargo's target folder. */
function installed(name) {
  const program = resolve(dirname(issuerBinary()), '../tools/deploy/bin', name)
  if (!existsSync(program)) throw new Error(`${program} is missing; \`cargo xtask test js\` installs it`)
  return program
}
