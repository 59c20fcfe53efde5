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
      const [plan, { keys }] = await Promise.all([fetchJson('plan.json'), fetchJson(jwks)])
      shown(plan)
      setShown({ keys, lives: plan.keys, now: plan.now })
    } catch {
      failed(new Error('The issuer does not answer. Is it running? The page asks again every five seconds, and shows the latest keys that it has.'))
    }
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

async function fetchJson(url) {
  const response = await fetch(url)
  if (!response.ok) throw new Error(`${url}: ${response.status}`)
  return response.json()
}
