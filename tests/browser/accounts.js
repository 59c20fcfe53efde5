// The example `issuer/examples/accounts`, copied and started as its README says, and the devices of its users.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { createHmac } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, readFile, symlink } from 'node:fs/promises'
import { delimiter, join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { freePort, issuerBinary } from '../js/support/issuer.js'
import { inExample } from '../packaging/example.js'

const EXAMPLES = fileURLToPath(new URL('../../issuer/examples/', import.meta.url))

/** RFC 6238 §4.1. */
const STEP_SECONDS = 30

/**
 * Copies the example with the package from its tarball, runs it with an issuer of its own, and calls `work`.
 *
 * @param {string} tarball
 * @param {string[]} flags more flags of the issuer
 * @param {(app: { origin: string, issuer: string }) => Promise<void>} work
 */
export function withAccounts(tarball, flags, work) {
  return inExample({ tarball, name: 'accounts', examples: EXAMPLES, tools: ['qr'] }, async (folder) => {
    const [port, issuerPort, adminPort] = [await freePort(), await freePort(), await freePort()]
    const origin = `http://localhost:${port}`
    const programs = join(folder, 'programs')
    await mkdir(programs)
    await symlink(resolve(issuerBinary()), join(programs, 'countersign-issuer'))
    const env = { ...process.env, ORIGIN: origin, ISSUER_PORT: issuerPort, ADMIN_PORT: adminPort, PATH: `${programs}${delimiter}${process.env.PATH}` }
    const child = spawn(process.execPath, ['dev.js', ...flags], { cwd: folder, env, stdio: ['ignore', 'pipe', 'pipe'] })
    let log = ''
    child.stderr.on('data', (chunk) => { log += chunk })
    const ended = once(child, 'exit')
    const line = once(createInterface({ input: child.stdout }), 'line')
    try {
      await Promise.race([line, ended.then(() => { throw new Error(`the example did not start: ${log}`) })])
      await work({ origin, issuer: `http://localhost:${issuerPort}` })
    } finally {
      child.kill()
      await ended
    }
  })
}

/** An authenticator app. Each code that it gives is another one. */
export function authenticatorApp(secret) {
  let last = 0
  return {
    async code() {
      const now = () => Date.now() / 1000 / STEP_SECONDS
      // The issuer takes codes of the step before and after this one, each step once. The code must last until it is typed.
      const step = Math.max(Math.floor(now() - 0.5), last + 1)
      while (step > now() + 1) await setTimeout(200)
      last = step
      return codeOf(secret, step)
    },
  }
}

/** Returns the code of a time step (RFC 6238, RFC 4226 §5.3). */
function codeOf(secret, step) {
  const counter = Buffer.alloc(8)
  counter.writeBigUInt64BE(BigInt(step))
  const mac = createHmac('sha1', fromBase32(secret)).update(counter).digest()
  const number = mac.readUInt32BE(mac[19] & 15) & 0x7fffffff
  return String(number % 1_000_000).padStart(6, '0')
}

/** RFC 4648 §6, without padding. */
function fromBase32(text) {
  const bits = [...text].map((character) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(character).toString(2).padStart(5, '0')).join('')
  return Buffer.from(bits.match(/.{8}/g).map((byte) => parseInt(byte, 2)))
}

/** Gives a page an authenticator that keeps passkeys and verifies its user. Returns a function that lists its passkeys. */
export async function addAuthenticator(page) {
  const client = await page.context().newCDPSession(page)
  await client.send('WebAuthn.enable')
  const { authenticatorId } = await client.send('WebAuthn.addVirtualAuthenticator', {
    options: {
      protocol: 'ctap2',
      transport: 'internal',
      hasResidentKey: true,
      hasUserVerification: true,
      isUserVerified: true,
      automaticPresenceSimulation: true,
    },
  })
  return {
    passkeys: async () => (await client.send('WebAuthn.getCredentials', { authenticatorId })).credentials,
    verifiesUser: (isUserVerified) => client.send('WebAuthn.setUserVerified', { authenticatorId, isUserVerified }),
  }
}

/** The ways by which a page is looked at, with the narrowest screen. */
const SCHEMES = ['light', 'dark']
const NARROW = { width: 360, height: 780 }

/** Fails if the page has a fault that axe finds, in light or in dark, or if it is wider than the screen of a phone. */
export async function assertAccessible(page) {
  const axe = await readFile(new URL(import.meta.resolve('axe-core/axe.min.js')), 'utf8')
  const before = page.viewportSize()
  // It stays: with its end, Chromium would also remove the page's authenticator.
  const client = await page.context().newCDPSession(page)
  // The Content-Security-Policy keeps scripts out. The debugger may run one.
  const evaluate = async (expression) => (await client.send('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true })).result.value
  await page.setViewportSize(NARROW)
  for (const colorScheme of SCHEMES) {
    await page.emulateMedia({ colorScheme })
    const wider = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)
    assert.equal(wider, 0, `${await page.title()}: ${wider} pixels too wide`)
    await evaluate(axe)
    const violations = await evaluate('axe.run().then(({ violations }) => JSON.stringify(violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)])))')
    assert.equal(violations, '[]', colorScheme)
  }
  await page.setViewportSize(before)
}
