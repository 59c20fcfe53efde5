// The application with an issuer of its own, on this machine: `npm run dev`. Needs countersign-issuer on the PATH.
//
// Settings: ORIGIN, and ISSUER_PORT and ADMIN_PORT for the issuer. Arguments are more flags of the issuer. Its database and keys are
// in data/: delete it to start afresh.
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { start } from './server.js'

const { ORIGIN: origin = 'http://localhost:3000', ISSUER_PORT = '8080', ADMIN_PORT = '9090' } = process.env
// Passkeys need a name, and the session's cookie needs the name of the page: `localhost`, not 127.0.0.1.
const issuer = `http://localhost:${ISSUER_PORT}`
const admin = `127.0.0.1:${ADMIN_PORT}`

const folder = new URL('data/', import.meta.url)
const database = ['--database', `sqlite://${fileURLToPath(new URL('issuer.db', folder))}`]
const PROGRAM = 'countersign-issuer'
const child = { cwd: folder, env: withoutOtherSettings(process.env) }

/** Returns the credentials of the application's client. Its secret is another one at each start, and in no file. */
async function makeClient() {
  const run = async (...args) => JSON.parse((await promisify(execFile)(PROGRAM, [...database, 'client', ...args, '--json'], child)).stdout)
  const client = await run('add', 'accounts', '--scope', 'countersign:admin').catch((error) => {
    if (error.code === 'ENOENT') throw new Error(`${PROGRAM} is not on the PATH: see README.md`)
    // It is there already.
    return run('rotate', 'accounts')
  })
  return { CLIENT_ID: client.client_id, CLIENT_SECRET: client.client_secret }
}

async function startIssuer() {
  const flags = [
    ...['--issuer', issuer, '--listen', `127.0.0.1:${ISSUER_PORT}`, '--admin-listen', admin],
    // The page calls the issuer, with the cookie of its session.
    ...['--cors-origins', origin],
    // So the application refuses the tokens of sessions that were ended.
    '--status-lists',
    ...process.argv.slice(2),
  ]
  const issuerProcess = spawn(PROGRAM, [...database, 'serve', ...flags], { ...child, stdio: ['ignore', 'pipe', 'inherit'] })
  const line = once(createInterface({ input: issuerProcess.stdout }), 'line')
  await Promise.race([line, once(issuerProcess, 'exit').then(() => { throw new Error('the issuer did not start') })])
  return issuerProcess
}

/** The issuer does not depend on settings that this shell has for another one. */
function withoutOtherSettings(environment) {
  return Object.fromEntries(Object.entries(environment).filter(([name]) => !name.startsWith('COUNTERSIGN_')))
}

try {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const client = await makeClient()
  const issuerProcess = await startIssuer()
  const stop = () => issuerProcess.kill()
  const server = await start({ ...process.env, ...client, ISSUER: issuer, ADMIN_API: `http://${admin}` }).catch((error) => {
    stop()
    throw error
  })
  console.log(`accounts at ${origin}, mailbox at ${origin}/mailbox`)
  issuerProcess.once('exit', () => {
    server.close()
    server.closeAllConnections()
  })
  process.once('SIGINT', stop)
  process.once('SIGTERM', stop)
} catch (error) {
  console.error(`accounts: ${error.message}`)
  process.exitCode = 1
}
