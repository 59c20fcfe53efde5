/** Why {@link withinTime} gave up. */
export const TIMED_OUT = Symbol('timed out')

/** Does some work, or throws {@link TIMED_OUT}. The signal is aborted when the time is over, and when the work is done. */
export async function withinTime<T>(ms: number, work: (signal: AbortSignal) => T | Promise<T>): Promise<T> {
  const abort = new AbortController()
  let timer: ReturnType<typeof setTimeout> | undefined
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(reject, ms, TIMED_OUT)
  })
  try {
    // The race also ends work that takes no notice of the signal.
    return await Promise.race([work(abort.signal), timeout])
  } finally {
    clearTimeout(timer)
    abort.abort()
  }
}
