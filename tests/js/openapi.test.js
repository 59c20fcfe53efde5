// The running issuer against its own OpenAPI document. Schemathesis sends requests that the document allows and requests
// that it does not, and compares each response with the document.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { decodeUnverified } from 'countersign'
import { issuerBinary, logIn, startIssuer } from './support/issuer.js'

const CONFIGURATION = fileURLToPath(new URL('../openapi/schemathesis.toml', import.meta.url))

/** Schemathesis does not request the document's own address. */
const UNTESTED = ['GET /openapi.json']

/** The document's examples have neither the password of the caller, nor a token for a reset or of a login, nor a code, nor a passkey. */
const REFUSED = [
  'POST /password',
  'POST /password/reset',
  'POST /login/second-factor',
  'POST /login/totp',
  'POST /login/again',
  'POST /totp/confirm',
  'POST /recovery-codes',
  'POST /login/passkey/options',
  'POST /login/passkey',
  'POST /passkeys/options',
  'POST /passkeys',
  'PATCH /passkeys/{id}',
  'DELETE /passkeys/{id}',
]

test('every response of the issuer conforms to its OpenAPI document', { timeout: 180_000 }, async (t) => {
  const issuer = await startIssuer({ flags: ['--status-lists'] })
  const folder = await mkdtemp(join(tmpdir(), 'countersign-openapi-'))
  t.after(async () => {
    await issuer.stop()
    await rm(folder, { recursive: true, force: true })
  })
  const address = `${issuer.url}/openapi.json`
  const document = await (await fetch(address)).json()
  // The first session creates the first status list. It ends the second one.
  const [here, there] = [await logIn(issuer.url), await logIn(issuer.url)]
  // The user of the document's examples.
  const { username, password } = document.components.schemas.Login.properties
  await issuer.run(['user', 'add', username.example, '--scope', 'read write'], `${password.example}\n`)
  const client = JSON.parse(await issuer.run(['client', 'add', 'tests', '--scope', 'read write', '--json']))

  const report = join(folder, 'report.json')
  const flags = ['--no-color', '--report', 'json', '--report-json-path', report]
  const { passed, output } = await schemathesis(['--config-file', CONFIGURATION, 'run', address, ...flags], folder, {
    CLIENT_ID: client.client_id,
    CLIENT_SECRET: client.client_secret,
    ACCESS_TOKEN: here.access_token,
    OTHER_SESSION: decodeUnverified(there.access_token).payload.sid,
  })
  assert.ok(passed, output)

  const { complete, errors, failures, valid_rates: rates } = JSON.parse(await readFile(report, 'utf8'))
  assert.deepEqual({ complete, errors, failures }, { complete: true, errors: [], failures: [] })
  // A run with only refusals would conform too.
  const answered = Object.keys(rates).filter((name) => Object.values(rates[name]).some(({ accepted }) => accepted > 0))
  assert.deepEqual([...answered, ...UNTESTED, ...REFUSED].sort(), operations(document).sort())
})

function operations({ paths }) {
  return Object.entries(paths).flatMap(([path, item]) => Object.keys(item).map((method) => `${method.toUpperCase()} ${path}`))
}

/** `cargo xtask test js` installs it beside the issuer, in cargo's target folder. */
function schemathesis(args, cwd, values) {
  const program = resolve(dirname(issuerBinary()), '../tools/schemathesis/bin/schemathesis')
  if (!existsSync(program)) throw new Error(`${program} is missing; \`cargo xtask test js\` installs it`)
  return new Promise((done) => {
    execFile(program, args, { cwd, env: { ...process.env, ...values }, maxBuffer: 64 << 20 }, (error, stdout, stderr) => {
      done({ passed: error === null, output: `${stdout}${stderr}${error?.code ?? ''}` })
    })
  })
}
