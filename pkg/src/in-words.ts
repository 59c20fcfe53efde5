import { withTimeout } from './timing.js'

/** The time limit for the script: a fault is reported without its words rather than late. */
const LIMIT_MS = 5000

/** Puts a fault into words. They are in a script of their own. Returns `otherwise` if it cannot be loaded, as in an outage. */
export function inWords(say: (words: typeof import('./words.js')) => string, otherwise: string): Promise<string> {
  return withTimeout(LIMIT_MS, () => import('./words.js')).then(say, () => otherwise)
}
