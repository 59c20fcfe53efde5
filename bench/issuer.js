// The issuer against what the machine can do: raw signatures and password hashes, and nginx for the key set.
import { execFile, spawn } from 'node:child_process'
import { mkdtemp, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { freePort, startIssuer, USER } from '../tests/js/support/issuer.js'
import { printTable, writeResults } from './report.js'

/** Enough that no core is idle while answers are under way. */
const CONNECTIONS = 32

/** The share of the load that the server can bear at most at which latencies are measured. */
const MODERATE = 0.7

/**
 * @param {{ out: string, load: string, rounds?: number }} setting `load`: the program of bench/load; `rounds`: how often
 *   everything takes its turn, of some seconds
 */
export async function runIssuer({ out, load, rounds = 3 }) {
  const program = async (...args) => JSON.parse((await promisify(execFile)(load, args.map(String))).stdout)
  const issuer = await startIssuer({ flags: ['--trusted-proxies', '127.0.0.0/8'], logged: false })
  const nginx = await startNginx(issuer.url)
  try {
    const memory = { idle: await memoryOf(issuer.pid) }
    const contestants = await contestantsFor({ program, issuer, nginx })
    const rates = Object.fromEntries(Object.keys(contestants).map((name) => [name, []]))
    for (let round = 1; round <= rounds; round++) {
      for (const [name, measure] of Object.entries(contestants)) {
        rates[name].push((await measure()).per_second)
        memory[`after ${name}`] = await memoryOf(issuer.pid)
        console.log(`  round ${round} of ${rounds}: ${name} ${Math.round(rates[name].at(-1))} a second`)
      }
    }
    const latencies = await latenciesOf(contestants, rates)
    const rows = COMPARISONS.map(([what, against]) => [what, ...compare(rates[what], rates[against]), against ?? ''])
    printTable('a second, medians of the rounds', ['', 'a second', 'ratio', 'to'], rows)
    printTable(`latency of tokens for clients, µs`, ['', 'p50', 'p99', 'p99.9', 'p99 ÷ raw signature'], latencies.rows)
    printTable('memory, MiB', ['', ''], Object.entries(memory).map(([when, size]) => [when, size.toFixed(1)]))
    await writeResults(out, 'issuer', { connections: CONNECTIONS, rates, latencies: latencies.measured, memory })
  } finally {
    await nginx?.stop()
    await issuer.stop()
  }
}

const COMPARISONS = [
  ['raw signatures'],
  ['tokens for clients', 'raw signatures'],
  ['refreshes, durable', 'raw signatures'],
  ['key set', 'key set from nginx'],
  ['raw password hashes'],
  ['logins', 'raw password hashes'],
]

function compare(rates, others) {
  const ratio = others === undefined || others.length === 0 ? '' : median(rates.map((rate, round) => rate / others[round])).toFixed(2)
  return [Math.round(median(rates)), ratio]
}

async function contestantsFor({ program, issuer, nginx }) {
  const added = await issuer.run(['client', 'add', 'bench', '--scope', 'read write', '--json'])
  const { client_id, client_secret } = JSON.parse(added)
  const authorization = `Basic ${Buffer.from(`${client_id}:${client_secret}`).toString('base64')}`
  const threads = availableParallelism()
  const raw = (what, seconds) => () => program('raw', what, '--threads', threads, '--seconds', seconds)
  const ask = (kind, url, ...more) => (...pace) =>
    program('load', kind, '--address', new URL(url).host, '--connections', CONNECTIONS, '--seconds', 5, ...more, ...pace)
  const user = ['--username', USER.username, '--password', USER.password]
  return {
    'raw signatures': raw('signatures', 3),
    'tokens for clients': ask('clients', issuer.url, '--authorization', authorization),
    'refreshes, durable': ask('refreshes', issuer.url, ...user),
    'key set': ask('jwks', issuer.url),
    ...(nginx && { 'key set from nginx': ask('jwks', nginx.url) }),
    'raw password hashes': raw('hashes', 3),
    logins: ask('logins', issuer.url, ...user),
  }
}

/** How soon tokens come, at the load of the maximum and at part of it. */
async function latenciesOf(contestants, rates) {
  const rate = median(rates['tokens for clients'])
  const signature = (availableParallelism() / median(rates['raw signatures'])) * 1e6
  const measured = {
    'at full load': await contestants['tokens for clients'](),
    [`at ${100 * MODERATE} % of it`]: await contestants['tokens for clients']('--rate', rate * MODERATE),
  }
  const rows = Object.entries(measured).map(([name, { microseconds }]) => [name, ...Object.values(microseconds), (microseconds.p99 / signature).toFixed(1)])
  return { measured: { signature, ...measured }, rows }
}

/** Serves the bytes and the headers of the issuer's key set; `undefined` where there is no nginx. */
async function startNginx(issuer) {
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

/** Waits until somebody answers. */
async function answers(url) {
  for (let attempt = 0; attempt < 100; attempt++) {
    if (await fetch(url).then(({ ok }) => ok, () => false)) return true
    await sleep(50)
  }
  return false
}

/** What a process has in memory, in MiB. */
async function memoryOf(pid) {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)[1]) / 1024
}

function median(values) {
  const sorted = values.toSorted((a, b) => a - b)
  return (sorted[Math.floor((sorted.length - 1) / 2)] + sorted[Math.ceil((sorted.length - 1) / 2)]) / 2
}
