// Saboteurs prove that each broken promise is noticed.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { PROMISES } from './ledger.js'
import { SABOTEURS } from './saboteurs.js'
import { World } from './world.js'

/** A saboteur is noticed within this time: seconds. */
const NOTICED_WITHIN = 60

test('each broken promise is noticed', async (t) => {
  const world = await World.start({ seed: 1 })
  t.after(() => world.stop())
  for (const { name, promise, sabotage } of SABOTEURS) {
    await t.test(name, async () => {
      await sabotage(world, async () => {
        const { violations } = world.ledger
        // Those of the saboteurs before.
        violations.length = 0
        const isNoticed = () => violations.some((violation) => violation.promise === promise)
        for (let second = 0; second < NOTICED_WITHIN && !isNoticed(); second++) await sleep(1000)
        assert.ok(isNoticed(), `nobody noticed within ${NOTICED_WITHIN} s that ${PROMISES[promise]}`)
      })
    })
  }
  const unproved = Object.keys(PROMISES).filter((promise) => !SABOTEURS.some((saboteur) => saboteur.promise === promise))
  assert.deepEqual(unproved, [], 'promises without a saboteur')
})
