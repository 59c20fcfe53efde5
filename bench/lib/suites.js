// The measurements of `bench verify`. Parts that depend on the runtime are parameters.
import { PORTABLE, WITH_KEY_SETS, countersign } from './libraries.js'
import { measure, oneByOne, oneByOneSync, sixteenAtOnce } from './measure.js'
import { AUDIENCE, ISSUER, makeDecoy, makeKey, makeToken, makeTokens } from './tokens.js'

const TOKENS = 512
const LENGTHS = [512, 1024, 2048, 4096, 8192, 16384]
const KEY_BITS = [2048, 3072, 4096]
const KEY_COUNTS = [1, 2, 4, 8, 16, 32, 64]

/** The libraries in the sweeps, which would take too long with all of them. */
const IN_SWEEPS = ['countersign', 'jose', 'fast-jwt']

/**
 * Measures the verification of RS256 access tokens.
 *
 * @param {object} setting
 * @param {number} setting.rounds
 * @param {import('./measure.js').Clock} [setting.clock]
 * @param {(line: string) => void} setting.say prints progress and the libraries that are left out
 * @param {import('./libraries.js').Library[]} [setting.more] libraries besides the portable ones
 * @param {(key: object) => (token: string) => void} [setting.signatureOnly] the yardstick
 * @param {(key: string, options: object) => Promise<(token: string) => unknown>} [setting.fastJwt] for its cache
 * @param {() => Promise<object | undefined>} [setting.kernel] measures the kernels alone
 */
export async function runVerify({ rounds, clock, say, more = [], signatureOnly, fastJwt, kernel }) {
  const key = await makeKey()
  const tokens = await makeTokens(key, TOKENS)
  const libraries = [...PORTABLE, ...more]
  const left = []
  const ready = []
  for (const library of libraries) {
    try {
      ready.push({ name: library.name, ...(await loadAndCheck(library, key)) })
    } catch (error) {
      left.push({ name: library.name, why: firstLine(error) })
      say(`${library.name} is left out: ${firstLine(error)}`)
    }
  }

  say('one at a time')
  const yardstick = signatureOnly ? [oneByOneSync('node:crypto, signature only', signatureOnly(key))] : []
  const alone = ready.flatMap(({ name, verify, verifySync }) => [
    ...(verifySync ? [oneByOneSync(`${name} (sync)`, verifySync)] : []),
    ...(verify ? [oneByOne(name, verify)] : []),
  ])
  const oneAtATime = await measure([...alone, ...yardstick], tokens, rounds, clock)
  say('16 at once')
  const together = ready.map(({ name, verify, verifySync }) => sixteenAtOnce(name, verify ?? (async (token) => verifySync(token))))
  const atOnce = await measure(together, tokens, rounds, clock)
  say('caches')
  const isReady = ({ name }) => ready.some((one) => one.name === name)
  const cache = await runCache({ key, tokens, rounds, clock, fastJwt: isReady({ name: 'fast-jwt' }) ? fastJwt : undefined, say })

  const few = Math.ceil(rounds / 2)
  const sweepers = libraries.filter((library) => IN_SWEEPS.includes(library.name) && isReady(library))
  const tokenLength = await sweep(LENGTHS, say, 'characters a token', async (length) => {
    return measure(await contestants(sweepers, key), await makeTokens(key, 64, length), few, clock)
  })
  const keyBits = await sweep(KEY_BITS, say, 'bits a key', async (bits) => {
    const longer = await makeKey(bits)
    return measure(await contestants(sweepers, longer), await makeTokens(longer, 64, 1024), few, clock)
  })
  const keyCount = await sweep(KEY_COUNTS, say, 'keys a set', async (count) => {
    const keys = [...Array.from({ length: count - 1 }, makeDecoy), key.jwk]
    return measure(await contestants(WITH_KEY_SETS.filter(isReady), keys), tokens, few, clock)
  })
  if (kernel) say('kernels')
  return { oneAtATime, atOnce, cache, tokenLength, keyBits, keyCount, kernel: await kernel?.(), left }
}

/** Loads a library. Refuses one with wrong verdicts: it would be fast because it checks less. */
async function loadAndCheck(library, key) {
  const { verify, verifySync } = await library.load(key)
  const stranger = await makeKey()
  const bad = {
    'signed by another key': await makeToken({ ...stranger, kid: key.kid }),
    'of another issuer': await makeToken(key, { iss: `${ISSUER}.evil` }),
    'for another audience': await makeToken(key, { aud: `${AUDIENCE}.evil` }),
    'that is expired': await makeToken(key, { exp: Math.floor(Date.now() / 1000) - 10 }),
  }
  const good = await makeToken(key)
  for (const way of [verify, verifySync].filter(Boolean)) {
    await way(good)
    for (const [what, token] of Object.entries(bad)) {
      const accepted = await (async () => way(token))().then(() => true, () => false)
      if (accepted) throw new Error(`it accepts a token ${what}`)
    }
  }
  return { verify, verifySync }
}

/** Measures cache hits only: each token was verified before. */
async function runCache({ key, tokens, rounds, clock, fastJwt, say }) {
  const hot = tokens.slice(0, 256)
  const contestants = []
  try {
    const { verify, verifySync } = await countersign([key.jwk], { cache: 1024 })
    contestants.push(oneByOneSync('countersign (sync)', verifySync), oneByOne('countersign', verify))
  } catch (error) {
    if (error.code !== 'options_invalid') throw error
    say('the cache of countersign is left out: this build has none')
    return undefined
  }
  if (fastJwt) {
    const verify = await fastJwt(key.pem, { cache: 1024 }).catch(() => undefined)
    if (verify) contestants.push(oneByOneSync('fast-jwt (sync)', verify))
  }
  return measure(contestants, hot, rounds, clock)
}

async function sweep(values, say, unit, run) {
  const rows = []
  for (const value of values) {
    say(`${value} ${unit}`)
    rows.push({ value, results: await run(value) })
  }
  return rows
}

/** Returns each library in its fastest way. */
async function contestants(libraries, key) {
  const made = []
  for (const { name, load } of libraries) {
    const { verify, verifySync } = await load(key)
    made.push(verifySync ? oneByOneSync(name, verifySync) : oneByOne(name, verify))
  }
  return made
}

function firstLine(error) {
  return String(error?.message ?? error).split('\n')[0]
}
