const BATCHES = 15
const WARM_MS = 20
const RESOLUTIONS = 200
const MOST_RUNS = 500

/**
 * Measures the median time of one synchronous `run`, in microseconds.
 *
 * Browsers round `performance.now()` to 5 µs, or to 100 µs and more without cross-origin isolation, which is too coarse
 * for one run. So it warms up for 20 ms, finds a number of runs that lasts 200 steps of the clock, and times 15 batches of
 * that many runs. Between them the page can paint and respond.
 *
 * @param {() => void} run may throw: refusals are timed too
 * @param {AbortSignal} signal
 * @returns {Promise<{ microseconds: number, batches: number, runs: number } | undefined>} undefined if it was
 *   aborted, or if the clock stands still
 */
export async function measure(run, signal) {
  const warmUntil = performance.now() + WARM_MS
  for (let i = 0; i < MOST_RUNS && performance.now() < warmUntil; i += 1) batch(run, 1)
  await pause()
  if (signal.aborted) return undefined

  const enough = Math.min(Math.max(clockStep() * RESOLUTIONS, 1), 20)
  for (let runs = 1; ; runs *= 2) {
    for (let elapsed = batch(run, runs); elapsed < enough; elapsed = batch(run, runs)) {
      if (runs >= MOST_RUNS && elapsed === 0) return undefined
      runs = elapsed > 0 ? Math.ceil(runs * Math.min((enough / elapsed) * 1.2, 8)) : runs * 8
      await pause()
      if (signal.aborted) return undefined
    }
    const times = []
    while (times.length < BATCHES) {
      times.push(batch(run, runs))
      await pause()
      if (signal.aborted) return undefined
    }
    times.sort((a, b) => a - b)
    const median = times[BATCHES >> 1]
    // Other work of the machine can make one batch long, and too few runs look like enough.
    if (median >= enough / 2) return { microseconds: (median / runs) * 1000, batches: BATCHES, runs }
  }
}

function batch(run, runs) {
  const start = performance.now()
  for (let i = 0; i < runs; i += 1) {
    try {
      run()
    } catch {
      // Refusals are timed too.
    }
  }
  return performance.now() - start
}

/** Finds the smallest step of `performance.now()`, in milliseconds. */
function clockStep() {
  let least = 1
  for (let seen = 0, tries = 0, last = performance.now(); seen < 5 && tries < 100_000; tries += 1) {
    const now = performance.now()
    if (now === last) continue
    least = Math.min(least, now - last)
    last = now
    seen += 1
  }
  return least
}

function pause() {
  return new Promise((resolve) => setTimeout(resolve))
}
