// The issuer compared with the machine's limits (raw signatures and password hashes, and nginx for the key set), with
// oidc-provider, with more users, and with PostgreSQL.
import { mkdtemp, rm } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { startCluster } from './issuer/cluster.js'
import { GROWTH_HEAD, growPostgres, growSqlite, growthRows, newMasterKey } from './issuer/growth.js'
import { startLeast, startNginx, startOidcProvider } from './issuer/peers.js'
import { startPostgresIfThere } from './issuer/postgres.js'
import { addClient, CONNECTIONS, LOGIN, measuring, memoryOf, ratio, startLoadedIssuer } from './issuer/program.js'
import { median } from './lib/measure.js'
import { printTable, versionOf, writeResults } from './report.js'

/** Latencies are measured at this share of the highest load. */
const MODERATE = 0.7

/** One core for a server, with priority over other programs: the targets assume an idle machine. */
const ON_ONE_CORE = ['nice', '-n', '-20', 'taskset', '-c', '0']

/** The contestants on that core. */
const ON_ONE = {
  signatures: 'raw signatures, on one core',
  least: 'the least that signs, on one core',
  tokens: 'tokens for clients, on one core',
  peer: 'tokens for clients from oidc-provider, on one core',
}

/** Another core for the load: clients on other machines take no time from the server. */
const FROM_ANOTHER = ['taskset', '-c', '1']

/**
 * @param {{ out: string, load: string, rounds?: number }} setting `load`: the program of bench/load; `rounds`: the number
 *   of turns of each contestant; the growth takes a third of them
 */
export async function runIssuer({ out, load, rounds = 9 }) {
  const tools = measuring(load)
  const folder = await mkdtemp(join(tmpdir(), 'countersign-bench-'))
  const stops = [() => rm(folder, { recursive: true, force: true })]
  const started = async (starting) => {
    const one = await starting
    if (one !== undefined) stops.push(one.stop)
    return one
  }
  try {
    const issuer = await started(startLoadedIssuer())
    const single = await started(startLoadedIssuer({ within: ON_ONE_CORE }))
    const peer = await started(startOidcProvider(ON_ONE_CORE))
    const nginx = await started(startNginx(issuer.url))
    const least = await started(startLeast([load]))
    const leastSingle = await started(startLeast([...ON_ONE_CORE, load]))
    const masterKey = await newMasterKey(folder)
    const postgres = await started(startPostgresIfThere(masterKey))
    const cluster = postgres && (await started(startCluster({ tools, postgres })))

    const memory = { idle: await memoryOf(issuer.pid) }
    const contestants = { ...(await contestantsFor({ tools, issuer, single, peer, nginx, least, leastSingle })), ...cluster?.contestants }
    const measured = []
    for (let round = 1; round <= rounds; round++) {
      const progress = `  round ${round} of ${rounds}:`
      const results = {}
      for (const [name, measure] of Object.entries(contestants)) {
        results[name] = await measure()
        if (OF_THE_ISSUER.has(name)) memory[`after ${name}`] = await memoryOf(issuer.pid)
        console.log(`${progress} ${name} ${Math.round(results[name].per_second)} a second`)
      }
      measured.push({ results, latencies: await measureLatencies(contestants, results) })
      console.log(`${progress} latencies of ${ON_ONE.tokens}`)
    }
    const of = (name) => measured.map(({ results }) => results[name].per_second)
    const rates = Object.fromEntries(Object.keys(contestants).map((name) => [name, of(name)]))
    const latencies = summarize(measured.map(({ latencies }) => latencies))
    memory[`at most, with ${FLOOD} logins at a time`] = await memoryInFlood({ tools, issuer })
    const fewer = Math.ceil(rounds / 3)
    const sqlite = await growSqlite({ tools, rounds: fewer })
    const server = postgres && (await growPostgres({ tools, rounds: fewer, postgres, folder }))

    const compared = COMPARISONS.filter(([what]) => rates[what]).map((row) => compare(rates, row))
    printTable('a second, medians of the rounds', ['', 'a second', 'ratio', 'to'], compared.map(Object.values))
    printTable('latency of tokens for clients, on one core, µs', LATENCIES_HEAD, latencies.rows)
    printTable('memory, MiB', ['', ''], Object.entries(memory).map(([when, size]) => [when, size.toFixed(1)]))
    printTable('as it grows, on SQLite: a second, ms, MiB, ms', GROWTH_HEAD, growthRows(sqlite))
    if (server) printTable('as it grows, on PostgreSQL: a second, ms, MiB, ms', GROWTH_HEAD, growthRows(server))
    const sizes = [['SQLite', sqlite], ['PostgreSQL', server]].filter(([, results]) => results)
    const bytes = sizes.map(([name, results]) => [name, ...Object.values(results.at(-1).bytes_each).map(Math.round)])
    printTable('bytes in the database for each, with the indexes', ['', 'user', 'session'], bytes)
    const limits = limitsOf({ rates, latencies, memory })
    printTable('the targets of the project, for an idle machine', ['', 'limit', 'now', ''], limits)
    const peers = { 'oidc-provider': versionOf('oidc-provider') }
    const growth = { sqlite, postgres: server }
    await writeResults(out, 'issuer', { connections: CONNECTIONS, peers, rates, latencies: latencies.rounds, memory, growth, limits })
  } finally {
    for (const stop of stops.reverse()) await stop()
  }
}

const COMPARISONS = [
  ['raw signatures'],
  ['the least that signs', 'raw signatures'],
  ['tokens for clients', 'raw signatures'],
  ['refreshes, durable', 'raw signatures'],
  ['tokens for clients, PostgreSQL', 'raw signatures'],
  ['tokens for clients, PostgreSQL, two issuers', 'tokens for clients, PostgreSQL'],
  ['refreshes, PostgreSQL', 'raw signatures'],
  ['refreshes, PostgreSQL, two issuers', 'refreshes, PostgreSQL'],
  [ON_ONE.signatures],
  [ON_ONE.least, ON_ONE.signatures],
  [ON_ONE.tokens, ON_ONE.signatures],
  [ON_ONE.peer, ON_ONE.tokens],
  ['key set', 'key set from nginx'],
  ['raw password hashes'],
  ['logins', 'raw password hashes'],
]

/** The contestants that load the issuer whose memory is measured. */
const OF_THE_ISSUER = new Set(['tokens for clients', 'refreshes, durable', 'key set', 'logins'])

function compare(rates, [what, against]) {
  const others = rates[against]
  const times = others === undefined ? '' : ratio(rates[what], others).toFixed(2)
  return { what, rate: Math.round(median(rates[what])), times, against: others === undefined ? '' : against }
}

async function contestantsFor({ tools, issuer, single, peer, nginx, least, leastSingle }) {
  const [client, other] = [await addClient(issuer.run), await addClient(single.run)]
  const ask = (kind, { url }, flags = [], within) => (pace = []) => tools.load(kind, [url], { flags: [...flags, ...pace], within })
  return {
    'raw signatures': () => tools.raw('signatures'),
    'the least that signs': ask('clients', least, client),
    'tokens for clients': ask('clients', issuer, client),
    'refreshes, durable': ask('refreshes', issuer, LOGIN),
    [ON_ONE.signatures]: () => tools.raw('signatures', { threads: 1, within: ON_ONE_CORE }),
    [ON_ONE.least]: ask('clients', leastSingle, other, FROM_ANOTHER),
    [ON_ONE.tokens]: ask('clients', single, other, FROM_ANOTHER),
    [ON_ONE.peer]: ask('clients', peer, peer.flags, FROM_ANOTHER),
    'key set': ask('jwks', issuer),
    ...(nginx && { 'key set from nginx': ask('jwks', nginx) }),
    'raw password hashes': () => tools.raw('hashes'),
    logins: ask('logins', issuer, LOGIN),
  }
}

const EVENLY = `at ${100 * MODERATE} % of it, evenly`
const LATENCIES_HEAD = ['', 'p50', 'p99', 'p99.9', 'p99 ÷ raw signature', 'asked late, p99', 'stood still in all, ms']

/**
 * Measures the latency of tokens at full load and at part of it. Load and signature are those of the same round, because
 * machines have faster and slower moments.
 *
 * @param {Record<string, { per_second: number }>} results of each contestant in that round
 */
async function measureLatencies(contestants, results) {
  const rate = results[ON_ONE.tokens].per_second * MODERATE
  const paced = (name, gaps) => contestants[name](['--rate', rate, '--gaps', gaps])
  const measured = {
    'at full load': results[ON_ONE.tokens],
    [EVENLY]: await paced(ON_ONE.tokens, 'even'),
    'the same from the least that signs': await paced(ON_ONE.least, 'even'),
    [`at ${100 * MODERATE} % of it, at random`]: await paced(ON_ONE.tokens, 'random'),
  }
  return { signature: 1e6 / results[ON_ONE.signatures].per_second, measured }
}

/** Takes the medians of the rounds: a single pause of the machine would make a tail. */
function summarize(rounds) {
  const of = (name, part) => median(rounds.map(({ measured, signature }) => part(measured[name], signature)))
  const p99 = (name) => of(name, ({ microseconds }, signature) => microseconds.p99 / signature)
  const still = (name) => rounds.reduce((sum, { measured }) => sum + measured[name].paused, 0) / 1000
  const rows = Object.entries(rounds[0].measured).map(([name, { late }]) => [
    name,
    ...['p50', 'p99', 'p99.9'].map((percentile) => Math.round(of(name, ({ microseconds }) => microseconds[percentile]))),
    p99(name).toFixed(1),
    ...(late.p99 === null ? ['', ''] : [of(name, ({ late }) => late.p99), still(name)].map(Math.round)),
  ])
  return { rounds, rows, moderate: p99(EVENLY) }
}

/** Logins at a time: nearly as many as the issuer lets run and wait. */
const FLOOD = 64

async function memoryInFlood({ tools, issuer }) {
  await tools.load('logins', [issuer.url], { connections: FLOOD, flags: LOGIN })
  return await memoryOf(issuer.pid, 'VmHWM')
}

/** Compares the results with the targets. Nothing fails: machines differ, and moments do. */
function limitsOf({ rates, latencies, memory }) {
  const least = (name, what, against, limit) => {
    if (rates[against] === undefined) return [name, `≥ ${limit.toFixed(2)}`, '–', 'not measured']
    const now = ratio(rates[what], rates[against])
    return [name, `≥ ${limit.toFixed(2)}`, now.toFixed(2), now >= limit ? 'ok' : 'missed']
  }
  const most = (name, now, limit) => [name, `≤ ${limit}`, now.toFixed(1), now <= limit ? 'ok' : 'missed']
  return [
    least('tokens for clients ÷ raw signatures', 'tokens for clients', 'raw signatures', 0.8),
    least('the same on one core, asked from another', ON_ONE.tokens, ON_ONE.signatures, 0.8),
    least('refreshes, durable, on SQLite ÷ raw signatures', 'refreshes, durable', 'raw signatures', 0.6),
    least('key set ÷ nginx', 'key set', 'key set from nginx', 0.6),
    least('logins ÷ raw password hashes', 'logins', 'raw password hashes', 0.9),
    most('idle memory, MiB', memory.idle, 40),
    most('p99 of tokens at 70 % load ÷ raw signature', latencies.moderate, 10),
  ]
}
