// Verifiers that break a promise, to prove that it is noticed.
import { createVerifier, decodeUnverified } from 'countersign'

/** Each takes the options of `createVerifier` and returns a function that takes a token. */
export const SABOTEURS = {
  'accepts any signature': async () => async (token) => decodeUnverified(token),

  'ignores revocation': async ({ status, ...options }) => {
    const verifier = await createVerifier(options)
    return (token) => verifier.verify(token)
  },

  'has a clock that stands still': async (options) => {
    const now = options.now()
    const verifier = await createVerifier({ ...options, now: () => now })
    return (token) => verifier.verify(token)
  },

  'refuses good tokens': async (options) => {
    const verifier = await createVerifier(options)
    let count = 0
    return async (token) => {
      if (count++ % 10 === 0) throw new Error('refused')
      return verifier.verify(token)
    }
  },

  'forgets to free memory': async (options) => {
    const verifier = await createVerifier(options)
    const kept = []
    return (token) => {
      kept.push(Buffer.alloc(1 << 20, 1))
      return verifier.verify(token)
    }
  },
}
