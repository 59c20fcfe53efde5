import { fetchJson } from './demo-issuer.js'

const EVERY_MS = 5000

/**
 * Follows the keys of the demo's issuer: its plan by the demo's server, which asks the issuer's command line, and its key set as
 * verifiers get it.
 *
 * @param {{ issuer: string }} demo
 * @param {{ shown: (plan: object) => void, setShown: (set: object) => void, failed: (error: Error) => void }} listeners
 */
export function createLive({ issuer }, { shown, setShown, failed }) {
  const jwks = `${issuer.replace(/\/$/, '')}/.well-known/jwks.json`
  let timer

  async function update() {
    try {
      const [plan, { keys }] = await Promise.all([fetchJson('plan.json'), fetchKeySet()])
      shown(plan)
      setShown({ keys, lives: plan.keys, now: plan.now })
    } catch {
      failed(new Error('The issuer does not answer. Is it running? The page asks again every five seconds, and shows the latest keys that it has.'))
    }
  }

  /** Fetches the set as it is now: a copy in the browser's cache may be as old as `jwks_max_age`. */
  async function fetchKeySet() {
    const response = await fetch(jwks, { cache: 'no-cache' })
    if (!response.ok) throw new Error(`the issuer answered ${response.status} for its key set`)
    return response.json()
  }

  return {
    /** Starts or stops. */
    run(isOn) {
      clearInterval(timer)
      if (!isOn) return
      void update()
      timer = setInterval(() => document.visibilityState === 'visible' && void update(), EVERY_MS)
    },
  }
}
