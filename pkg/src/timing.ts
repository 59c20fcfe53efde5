/** The error that {@link withTimeout} throws. */
export const TIMED_OUT = Symbol('timed out')

/**
 * Runs `work`, or throws {@link TIMED_OUT}. The signal is aborted once the time is over or the work is done. Fastly Compute
 * has no signals.
 */
export async function withTimeout<T>(ms: number, work: (signal?: AbortSignal) => T | Promise<T>): Promise<T> {
  const abort = globalThis.AbortController && new AbortController()
  let timer: ReturnType<typeof setTimeout> | undefined
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(reject, ms, TIMED_OUT)
  })
  try {
    // The race also ends work that ignores the signal.
    return await Promise.race([work(abort?.signal), timeout])
  } finally {
    clearTimeout(timer)
    abort?.abort()
  }
}

/**
 * Returns true if `now` is in the span of that many seconds from `start`. A clock that was set back ends every span, and
 * a span without a start never began.
 */
export function isWithin(start: number | undefined, seconds: number, now: number): boolean {
  return start !== undefined && now >= start && now < start + seconds
}
