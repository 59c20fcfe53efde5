// The logic of the page with the benchmark. The page itself is tested in a browser: tests/browser/race-page.test.js
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkVerdicts, makeContestants, makeTokens } from '../../www/page/race-contestants.js'
import { compare, quantile } from '../../www/page/race-results.js'
import { race } from '../../www/page/race-run.js'

const pause = async () => {}

/** Contestants that need so many milliseconds for a token, by a clock that only they move. */
function makePaces(paces) {
  const state = { now: 0, turns: 0, order: [] }
  const contestants = Object.entries(paces).map(([name, pace], i) => ({
    name,
    run(tokens) {
      state.now += pace * tokens.length
      state.turns += 1
      if (tokens.length !== 16) state.order.push(name)
      // The second is asynchronous.
      return i === 1 ? Promise.resolve() : undefined
    },
  }))
  return { state, contestants, clock: () => state.now }
}

function options(clock, changes = {}) {
  return { length: 10_000, signal: new AbortController().signal, pause, frame: pause, disturbance: () => 0, onRound() {}, clock, ...changes }
}

test('the bars come as far as the speeds say, and the first ends the race', async () => {
  const { contestants, clock } = makePaces({ a: 0.02, b: 0.06, c: 0.1 })
  const rounds = []
  const standings = await race(contestants, ['x', 'y'], options(clock, { onRound: (all) => rounds.push(all.map(({ count }) => count)) }))
  const [a, b, c] = standings.map(({ count }) => count)
  assert.equal(a, 10_000)
  assert.ok(Math.abs(b / a - 1 / 3) < 0.02, `${b}`)
  assert.ok(Math.abs(c / a - 1 / 5) < 0.02, `${c}`)
  assert.ok(rounds.length >= 20 && rounds.length <= 80, `${rounds.length} rounds`)
  assert.ok(rounds.every((counts, i) => i === 0 || counts.every((count, j) => count >= rounds[i - 1][j])))
  const results = compare(standings)
  assert.deepEqual(results.map(({ ratio }) => Number(ratio.toFixed(6))), [1, 3, 5])
  assert.deepEqual(results.map(({ median }) => Number(median.toFixed(6))), [0.02, 0.06, 0.1])
  assert.deepEqual(results.map(({ isNoisy }) => isNoisy), [false, false, false])
})

test('a turn never lasts so long that the page freezes', async () => {
  for (const pace of [0.001, 0.3, 5]) {
    const { contestants, state, clock } = makePaces({ a: pace, b: pace * 2 })
    let last = 0
    let longest = 0
    const measured = async () => {
      longest = Math.max(longest, state.now - last)
      last = state.now
    }
    await race(contestants, ['x'], options(clock, { length: 2000, pause: measured }))
    // A turn, and the tokens before it.
    assert.ok(longest <= 2 * 10 + 2 * 17 * pace * 2, `${pace}: ${longest}`)
  }
})

test('a round with a disturbance does not count', async () => {
  const { contestants, clock } = makePaces({ a: 0.02, b: 0.02 })
  let changes = 0
  let calls = 0
  const disturbance = () => ((calls += 1) <= 20 ? (changes += 1) : changes)
  let rounds = 0
  const standings = await race(contestants, ['x'], options(clock, { disturbance, onRound: () => (rounds += 1) }))
  assert.equal(standings[0].times.length, rounds)
  assert.ok(calls >= 2 * rounds + 20)
})

test('a race can be stopped', async () => {
  const { contestants, clock } = makePaces({ a: 0.02, b: 0.02 })
  const stop = new AbortController()
  let rounds = 0
  const onRound = () => ((rounds += 1) === 3 ? stop.abort() : undefined)
  const standings = await race(contestants, ['x'], options(clock, { signal: stop.signal, onRound }))
  assert.equal(standings[0].times.length, 3)
  assert.deepEqual(compare(await race(contestants, ['x'], options(clock, { signal: stop.signal }))).map(({ median }) => median), [NaN, NaN])
})

test('a clock that stands still ends no race early, and freezes none', async () => {
  const { contestants } = makePaces({ a: 0.02, b: 0.02 })
  for (const step of [0, 1]) {
    let now = 0
    const standings = await race(contestants, ['x'], options(() => (now += step), { length: 500 }))
    assert.equal(Math.max(...standings.map(({ count }) => count)), 500)
  }
})

test('the order changes from round to round', async () => {
  const { contestants, state, clock } = makePaces({ a: 0.02, b: 0.02 })
  await race(contestants, ['x'], options(clock, { length: 50_000 }))
  assert.ok(state.order.some((name, i) => name === state.order[i + 1]), 'the same one ends a round and begins the next')
})

test('quantiles are between the numbers', () => {
  assert.equal(quantile([3, 1, 2], 0.5), 2)
  assert.equal(quantile([1, 2], 0.5), 1.5)
  assert.equal(quantile([], 0.5), NaN)
  assert.equal(compare([{ name: 'a', count: 9, times: [1, 1, 2, 2, 3, 3] }])[0].isNoisy, true)
})

test('each contestant accepts the tokens and refuses bad ones', async () => {
  const { issuer, tokens } = await makeTokens(9, pause)
  assert.equal(new Set(tokens).size, 9)
  for (const atOnce of [1, 16]) {
    const contestants = await makeContestants(issuer, atOnce)
    assert.equal(await checkVerdicts(contestants, issuer), 7)
    for (const { run } of contestants) {
      await run(tokens)
      await assert.rejects(async () => run([tokens[0], `${tokens[0]}x`]))
    }
  }
})

test('a contestant that checks less is not let into the race', async () => {
  const { issuer } = await makeTokens(1, pause)
  await assert.rejects(checkVerdicts([{ name: 'lax', verify: () => {} }], issuer), /lax accepts a token that is expired/)
  await assert.rejects(checkVerdicts([{ name: 'deaf', verify: () => assert.fail() }], issuer), /deaf refuses a good token/)
})
