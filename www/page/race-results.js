/** Quartiles that differ by more than this share of the median are not of a quiet machine. */
const NOISY = 0.3

/**
 * Compares the contestants with the first one.
 *
 * @param {import('./race-run.js').Standing[]} standings
 * @returns {{ name: string, count: number, median: number, perSecond: number, ratio: number, isNoisy: boolean }[]} `median`:
 *   milliseconds for a token; `ratio`: its time over that of the first, the median over the rounds. All are NaN before a round
 */
export function compare(standings) {
  const [first] = standings
  return standings.map(({ name, count, times }) => {
    const median = quantile(times, 0.5)
    return {
      name,
      count,
      median,
      perSecond: 1000 / median,
      ratio: quantile(times.map((time, round) => time / first.times[round]), 0.5),
      isNoisy: quantile(times, 0.75) - quantile(times, 0.25) > NOISY * median,
    }
  })
}

/** Returns the number below which this share of the numbers is; NaN if there is none. */
export function quantile(numbers, share) {
  const sorted = [...numbers].sort((a, b) => a - b)
  const at = share * (sorted.length - 1)
  const below = sorted[Math.floor(at)] ?? NaN
  return below + ((sorted[Math.ceil(at)] ?? NaN) - below) * (at % 1)
}
