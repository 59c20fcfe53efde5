// The arithmetic of the page Keys, compared with the issuer's own plan.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DEFAULTS, dropLag, planKeys, publishLead, refusalOf, stateAt } from '../../www/page/key-rules.js'
import { settingOf } from '../../www/page/spans.js'
import { startIssuer } from './support/issuer.js'

const MINUTE = 60
const HOUR = 3600
const DAY = 86_400

/** Settings with which the issuer starts: its own, short and long ones, and those at its limits. */
const ACCEPTED = [
  DEFAULTS,
  { rotation_period: HOUR, access_ttl: 5 * MINUTE, jwks_max_age: MINUTE, clock_skew: 0 },
  { rotation_period: 31, access_ttl: 1, jwks_max_age: 1, clock_skew: 0 },
  // The lead is as long as the period.
  { rotation_period: 390, access_ttl: DAY / 24, jwks_max_age: 300, clock_skew: 60 },
  { rotation_period: 366 * DAY, access_ttl: DAY, jwks_max_age: DAY, clock_skew: 300 },
  // The key set has as many keys as it may.
  { rotation_period: 400, access_ttl: 61 * 400 - 390 - 1, jwks_max_age: 300, clock_skew: 60 },
]

const REFUSED = [
  { rotation_period: 389, access_ttl: 900, jwks_max_age: 300, clock_skew: 60 },
  { rotation_period: 400, access_ttl: 62 * 400 - 390, jwks_max_age: 300, clock_skew: 60 },
]

const flagsOf = (settings) => Object.entries(settings).flatMap(([name, value]) => [`--${name.replaceAll('_', '-')}`, `${value}s`])

test('the page plans as the issuer does', async () => {
  const { run, stop } = await startIssuer()
  try {
    for (const settings of ACCEPTED) {
      assert.equal(refusalOf(settings), undefined)
      const theirs = JSON.parse(await run(['keys', 'plan', '--json', ...flagsOf(settings)]))
      const start = theirs.keys[0].created_at
      const ours = planKeys(settings, { start, now: theirs.now, rotations: 3 })
      const isMade = (plan) => ({ ...plan, keys: plan.keys.map((key) => ({ ...key, kid: key.kid !== null })) })
      assert.deepEqual(isMade(ours), isMade(theirs))
    }
    for (const settings of REFUSED) {
      await assert.rejects(run(['keys', 'plan', ...flagsOf(settings)]), (error) => error.message.includes(refusalOf(settings)))
    }
  } finally {
    await stop()
  }
})

test('an issuer that has run for long has had one key that signs at each moment', () => {
  for (const settings of ACCEPTED) {
    const { rotation_period: period } = settings
    const plan = planKeys(settings, { start: 0, now: 10 * period, rotations: 3 })
    for (let now = 0; now <= 10 * period; now += Math.ceil(period / 7)) {
      const states = plan.keys.map((life) => stateAt(life, now))
      const count = (state) => states.filter((other) => other === state).length
      assert.deepEqual([count('active'), count('published')], [1, 1], `at ${now}`)
    }
    for (const { created_at: created, activates_at: activates, retires_at: retires, drops_at: drops } of plan.keys.slice(1)) {
      if (activates !== null) assert.ok(activates - created >= publishLead(settings))
      if (drops !== null) assert.equal(drops - retires, dropLag(settings))
    }
  }
})

test('a key has each of its states from the second on that the plan gives', () => {
  const life = { created_at: 10, activates_at: 20, retires_at: 30, drops_at: 40 }
  const expected = { 9: 'to come', 10: 'published', 19: 'published', 20: 'active', 30: 'retiring', 39: 'retiring', 40: 'gone' }
  for (const [now, state] of Object.entries(expected)) assert.equal(stateAt(life, Number(now)), state)
  assert.equal(stateAt({ ...life, activates_at: null, retires_at: null, drops_at: null }, 99), 'published')
})

test('the configuration on the page has durations that the issuer reads', async () => {
  assert.deepEqual([0, 1, 90, 900, 3600, 5400, 86_400, 366 * DAY].map(settingOf), ['0s', '1s', '90s', '15m', '1h', '90m', '1d', '366d'])
})
