import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import * as countersign from 'countersign'
import { claims, makeKey, makeToken, NOW, options } from './package-tokens.js'
import { runVectors } from './support/vectors.js'

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc')

const { createVerifier } = countersign
const key = makeKey('k1')
const other = makeKey('k2')

/** Returns a verifier with a cache and a clock for the test. `verify` and `code` take a token and a time. */
async function cached(changes = {}, keys = [key]) {
  const clock = { now: NOW }
  const verifier = await createVerifier(options(keys, { cache: 10, now: () => clock.now, ...changes }))
  const verify = (token, now = NOW) => {
    clock.now = now
    return verifier.verifySync(token)
  }
  return { verifier, verify, code: (token, now) => codeOf(() => verify(token, now)) }
}

/** Copies the text, as each request of a server has its own copy. */
const again = (token) => Buffer.from(token).toString('latin1')

const early = claims({ iat: NOW - 60 })

test('a verified token is answered from the cache, with equal claims', async () => {
  const { verifier, verify } = await cached()
  const fresh = await createVerifier(options([key]))
  const token = makeToken(key, early, { note: 'Zoë 🦊' })
  const first = verify(token)
  for (const hit of [verify(again(token)), verify(`.${token}`.slice(1)), await verifier.verify(again(token))]) {
    assert.equal(hit, first)
    assert.deepEqual(hit, fresh.verifySync(token))
  }
})

test('a cached result is deeply frozen', async () => {
  const { verify } = await cached()
  const token = makeToken(key, { ...early, roles: [{ deep: [] }] })
  verify(token)
  const hit = verify(token)
  for (const value of [hit, hit.header, hit.payload, hit.payload.roles, hit.payload.roles[0], hit.payload.roles[0].deep]) {
    assert.ok(Object.isFrozen(value))
  }
})

for (const cache of [undefined, 0]) {
  test(`with cache: ${cache} nothing is cached`, async () => {
    const { verify } = await cached({ cache })
    const token = makeToken(key, early)
    assert.notEqual(verify(token), verify(token))
  })
}

test('a token that differs in one character is not answered from the cache', async () => {
  const { verify, code } = await cached({ cache: 1 })
  const token = makeToken(key, early)
  const first = verify(token)
  for (let at = 0; at < token.length; at++) {
    const changed = token.slice(0, at) + (token[at] === 'A' ? 'B' : 'A') + token.slice(at + 1)
    assert.notEqual(code(changed), 'ok', `at ${at}`)
  }
  for (const changed of [`${token}A`, token.slice(0, -1), `A${token}`, token.slice(1), token.slice(-22), `${token}\n`]) {
    assert.notEqual(code(changed), 'ok')
  }
  assert.equal(verify(token), first)
})

test('a refused token is verified each time', async () => {
  const { verify, code } = await cached()
  const token = makeToken(key, { ...early, nbf: NOW })
  for (let i = 0; i < 2; i++) {
    assert.equal(code(token, NOW - 1), 'token_not_yet_valid')
    verify(token, NOW + 1)
  }
  for (let i = 0; i < 2; i++) assert.equal(code(makeToken(other)), 'key_not_found')
})

// Each case: the end of a cached verdict, in seconds after NOW, and the refusal after it.
const ended = [
  { name: 'exp', until: 900, code: 'token_expired', claim: 'exp' },
  { name: 'exp with tolerance', options: { clockTolerance: 5 }, until: 905, code: 'token_expired', claim: 'exp' },
  { name: 'maxTokenAge', options: { maxTokenAge: 90 }, until: 30, code: 'token_too_old', claim: 'iat' },
  { name: 'maxTokenAge with tolerance', options: { maxTokenAge: 90, clockTolerance: 5 }, until: 35, code: 'token_too_old', claim: 'iat' },
  { name: 'nbf', payload: { ...early, nbf: NOW - 5 }, from: -5, code: 'token_not_yet_valid', claim: 'nbf' },
  { name: 'iat', from: -60, code: 'token_not_yet_valid', claim: 'iat' },
  { name: 'iat with tolerance', options: { clockTolerance: 5 }, from: -65, code: 'token_not_yet_valid', claim: 'iat' },
]
for (const { name, options: changes, payload = early, from, until, code, claim } of ended) {
  test(`a verdict is cached up to ${name}, and then becomes ${code} with every field set`, async () => {
    const { verify, verifier } = await cached(changes)
    const [inside, outside] = from === undefined ? [until - 0.01, until + 0.01] : [from + 0.01, from - 0.01]
    const token = makeToken(key, payload)
    const first = verify(token)
    assert.equal(verify(token, NOW + inside), first)
    for (let i = 0; i < 2; i++) {
      assert.throws(() => verify(token, NOW + outside), { name: 'VerifyError', code, claim, stage: 'claims', claims: payload })
      await assert.rejects(verifier.verify(token), { code, claims: payload })
    }
  })
}

test('an expired entry is dropped from both generations', async () => {
  const { verify, code } = await cached({ cache: 2 })
  const token = makeToken(key, early)
  for (const between of [() => {}, () => verify(makeToken(key))]) {
    const first = verify(token)
    between()
    assert.equal(code(token, NOW + 900), 'token_expired')
    assert.notEqual(verify(token), first)
  }
})

// Each case: the token's times, in seconds after NOW, and the policy. The limits that the test below probes include each of
// these times, so that it probes the limit itself and both sides, as near as a number can be.
const dates = [
  { payload: { exp: '10' } },
  { payload: { exp: '10', nbf: '-10', iat: '-20' } },
  { payload: { exp: '10.0000001' } },
  { payload: { exp: '9.99999999999999999999' } },
  { payload: { exp: '10.00000000000000000001', nbf: '-9.99999999999999999999' } },
  { payload: { exp: '10', iat: '-10' }, options: { clockTolerance: 1 } },
  { payload: { exp: '10', nbf: '-10.5' }, options: { clockTolerance: 0.5 } },
  { payload: { exp: '10', iat: '-10' }, options: { clockTolerance: 1e-9 } },
  { payload: { exp: '99', iat: '-10' }, options: { maxTokenAge: 20 } },
  { payload: { exp: '99', iat: '-10.1' }, options: { maxTokenAge: 20.1 } },
  { payload: { exp: '99', iat: '-10' }, options: { maxTokenAge: 19, clockTolerance: 1 } },
  { payload: { exp: '99', iat: '-10.00000000000000000001' }, options: { maxTokenAge: 20, clockTolerance: 0.1 } },
  // The sum of the numbers is later than the sum of the decimals.
  { payload: { exp: '99', iat: '-9.6' }, options: { maxTokenAge: 20.4, clockTolerance: 0.4 } },
]
for (const { payload, options: changes } of dates) {
  test(`near its limits ${JSON.stringify({ ...payload, ...changes })} has the same verdict as without a cache`, async () => {
    const text = Object.entries(payload).reduce(
      (json, [claim, seconds]) => json.replace('}', `,"${claim}":${afterNow(seconds)}}`),
      JSON.stringify(claims({ exp: undefined, iat: undefined })),
    )
    const token = makeToken(key, text)
    const { verify, code } = await cached(changes)
    const plain = await cached({ ...changes, cache: 0 })
    const verdicts = new Set()
    for (const limit of [-21, -20, -11, -10, -9, 9, 10, 10.1, 11, 11.2, 30]) {
      for (const step of [-0.5, -2e-3, -1e-3, -1e-4, -1e-6, -2e-7, 0, 2e-7, 1e-6, 1e-4, 1e-3, 2e-3, 0.5]) {
        verify(token)
        const expected = plain.code(token, NOW + limit + step)
        assert.equal(code(token, NOW + limit + step), expected, `at NOW + ${limit} + ${step}`)
        verdicts.add(expected)
      }
    }
    assert.ok(verdicts.has('ok') && verdicts.size > 1)
  })
}

test('the clock is read and checked on a hit too', async () => {
  const { verify, code, verifier } = await cached()
  const token = makeToken(key, early)
  verify(token)
  for (const now of [NaN, -1, Infinity, '1700000000', null, NOW * 1000]) {
    assert.equal(code(token, now), 'options_invalid')
    await assert.rejects(verifier.verify(token), { code: 'options_invalid' })
  }
})

/** Returns a verifier with a cache, and a key set that the test can replace. */
async function remote(keys, changes) {
  const source = { text: setOf(keys) }
  const fetch = async () => new Response(source.text)
  const { verifier, verify, code } = await cached({ jwks: 'https://auth.example/jwks.json', fetch, ...changes })
  await verifier.refresh()
  return { source, verifier, verify, code }
}

const setOf = (keys) => JSON.stringify({ keys: keys.map(({ jwk }) => jwk) })
const twin = makeKey('k1')
const replacements = [
  { name: 'lost the key', keys: [other], code: 'key_not_found' },
  { name: 'has another key with that kid', keys: [twin, other], code: 'signature_invalid' },
  { name: 'is empty', keys: [], code: 'jwks_unavailable' },
  { name: 'has two keys with the kid', keys: [key, twin], code: 'key_rejected' },
]
for (const { name, keys, code: expected } of replacements) {
  test(`a fetched set that ${name} ends cached verdicts at once`, async () => {
    const { source, verifier, verify, code } = await remote([key], { cache: 2 })
    // One token in each generation.
    const tokens = [makeToken(key, early), makeToken(key, { ...early, jti: '2' })]
    for (const token of tokens) verify(token)
    source.text = setOf(keys)
    if (keys.length > 0) await verifier.refresh()
    else await assert.rejects(verifier.refresh(), { code: expected })
    for (const token of tokens) assert.equal(code(token), expected)
  })
}

test('a fetch by verify ends cached verdicts in the same call', async () => {
  const { source, verifier, verify } = await remote([key])
  const token = makeToken(key, claims({ iat: NOW - 60, exp: NOW + 9000 }))
  verify(token)
  source.text = setOf([other])
  assert.ok(verify(token, NOW + 600))
  await assert.rejects(verifier.verify(token), { code: 'key_not_found' })
})

test('an unchanged set, or an invalid one, does not empty the cache', async () => {
  const { source, verifier, verify } = await remote([key])
  const token = makeToken(key, early)
  const first = verify(token)
  await verifier.refresh()
  assert.equal(verify(token), first)
  source.text = '{"keys":7}'
  await assert.rejects(verifier.refresh(), { code: 'jwks_invalid' })
  assert.equal(verify(token), first)
})

test('a key that comes back does not restore old verdicts', async () => {
  const { source, verifier, verify } = await remote([key])
  const token = makeToken(key, early)
  const first = verify(token)
  for (const keys of [[other], [key]]) {
    source.text = setOf(keys)
    await verifier.refresh()
  }
  assert.notEqual(verify(token), first)
})

test('verifiers do not share a cache', async () => {
  const one = await cached()
  const stricter = await cached({ scope: 'admin' })
  const token = makeToken(key, early)
  one.verify(token)
  assert.equal(stricter.code(token), 'scope_insufficient')
})

const flood = Array.from({ length: 30 }, (_, i) => makeToken(key, { ...early, jti: String(i) }))
for (const { cache, bound } of [{ cache: 1, bound: 2 }, { cache: 2, bound: 2 }, { cache: 7, bound: 8 }, { cache: 10, bound: 10 }]) {
  test(`after a flood of tokens a cache of ${cache} has at most ${bound} entries, with the last ones among them`, async () => {
    const { verify } = await cached({ cache })
    const verdicts = []
    let most = 0
    for (const token of flood) {
      verdicts.push(new WeakRef(verify(token)))
      // A `WeakRef` keeps its target alive until the end of the event loop's turn.
      await setImmediate()
      collectGarbage()
      most = Math.max(most, verdicts.filter((verdict) => verdict.deref() !== undefined).length)
    }
    assert.equal(most, bound)
    for (const i of flood.keys()) {
      if (i >= flood.length - cache / 2) assert.equal(verify(flood[i]), verdicts[i].deref())
    }
  })
}

test('a token in use stays in the cache while others come and go', async () => {
  const { verify } = await cached({ cache: 10 })
  const token = makeToken(key, early)
  const first = verify(token)
  for (let i = 0; i < 40; i++) {
    verify(makeToken(key, { ...early, jti: String(i) }))
    assert.equal(verify(token), first)
  }
})

test('a cached token does not keep the text around it in memory', async () => {
  const { verify } = await cached({ cache: 20 })
  collectGarbage()
  const before = process.memoryUsage().heapUsed
  for (let i = 0; i < 20; i++) {
    const message = Buffer.from(flood[i] + ' '.repeat(2 ** 19)).toString('latin1')
    verify(message.slice(0, flood[i].length))
  }
  collectGarbage()
  assert.ok(process.memoryUsage().heapUsed - before < 5 * 2 ** 20)
})

const folder = new URL('../vectors/', import.meta.url)
const vectors = readdirSync(folder)
  .filter((name) => name.endsWith('.json'))
  .flatMap((name) => JSON.parse(readFileSync(new URL(name, folder), 'utf8')))
test(`${vectors.length} vectors have the same verdict twice with a cache`, async () => {
  let hits = 0
  const twice = (verify) => async (token) => {
    const [first, second] = [await settled(verify, token), await settled(verify, token)]
    assert.equal(second.error?.code, first.error?.code)
    if (first.error !== undefined) throw first.error
    if (second.verified === first.verified) hits++
  }
  const withCache = {
    ...countersign,
    async createVerifier(options) {
      const verifier = await createVerifier({ ...options, cache: 10 })
      return { verifySync: twice((token) => verifier.verifySync(token)), verify: twice((token) => verifier.verify(token)) }
    },
  }
  const disagreements = await runVectors(withCache, vectors)
  assert.equal(disagreements.length, 0, disagreements.join('\n'))
  assert.ok(hits > 50, `${hits} hits`)
})

async function settled(verify, token) {
  try {
    return { verified: await verify(token) }
  } catch (error) {
    return { error }
  }
}

/** Returns the decimal `NOW + seconds`, with more digits than a number can have. */
function afterNow(seconds) {
  const [, sign, whole, fraction = ''] = /^(-?)(\d+)\.?(\d*)$/.exec(seconds)
  if (sign === '' || fraction === '') return `${NOW + Number(sign + whole)}${fraction && `.${fraction}`}`
  const rest = (10n ** BigInt(fraction.length) - BigInt(fraction)).toString().padStart(fraction.length, '0')
  return `${NOW - Number(whole) - 1}.${rest}`
}

function codeOf(call) {
  try {
    call()
    return 'ok'
  } catch (error) {
    if (!(error instanceof countersign.VerifyError)) throw error
    return error.code
  }
}
