// One saboteur or more for each promise. Each breaks something, waits until that is noticed, and repairs it if others follow.
import { logIn } from '../js/support/issuer.js'

/** `sabotage(world, noticed)`: `noticed` waits until the ledger has a violation of the promise. */
export const SABOTEURS = [
  edge('accepts any signature', 'accepted'),
  edge('has a clock that stands still', 'accepted'),
  edge('ignores revocation', 'revoked'),
  edge('refuses good tokens', 'refused'),
  edge('forgets to free memory', 'memory'),
  { name: 'a proxy replays an old status list', promise: 'revoked', sabotage: replayList },
  { name: 'a proxy gives a session a second successor', promise: 'doubled', sabotage: doubleSuccessors },
  { name: 'an issuer that only lives says that it is ready', promise: 'readiness', sabotage: lieAboutReadiness },
  { name: 'a proxy refuses all refreshes after a fault', promise: 'stuck', sabotage: refuseRefreshes },
  { name: 'the database forgets sessions', promise: 'lost', sabotage: forgetSessions },
]

function edge(name, promise) {
  const sabotage = async ({ edges: [edge], forget }, noticed) => {
    const restart = async (saboteur) => {
      await edge.kill()
      forget(edge)
      await edge.start(saboteur)
    }
    await restart(name)
    await noticed()
    await restart()
  }
  return { name: `a verifier ${name}`, promise, sabotage }
}

async function replayList({ proxy }, noticed) {
  const response = await fetch(`${proxy.url}/status/1`)
  const body = Buffer.from(await response.arrayBuffer())
  const old = { status: 200, headers: { 'content-type': response.headers.get('content-type') }, body }
  proxy.replace = (path, answer) => (path === '/status/1' ? old : answer)
  await noticed()
  proxy.replace = (path, answer) => answer
}

async function doubleSuccessors({ proxy, issuers }, noticed) {
  proxy.replace = async (path, answer) => {
    if (path !== '/token' || answer.status !== 200) return answer
    return { ...answer, headers: {}, body: Buffer.from(JSON.stringify(await logIn(issuers.at(0).url))) }
  }
  await noticed()
  proxy.replace = (path, answer) => answer
}

async function lieAboutReadiness({ watchReadiness, database }, noticed) {
  await watchReadiness('/healthz/live')
  await database.crash()
  try {
    await noticed()
  } finally {
    await database.restart()
    await watchReadiness()
  }
}

async function refuseRefreshes({ proxy, faults }, noticed) {
  proxy.replace = (path, answer) => (path === '/token' ? { ...answer, status: 503 } : answer)
  const fault = { name: 'refreshes refused', given: [], happen: async () => {} }
  await Promise.all([faults.happen('core', fault, 10_000), noticed()])
  proxy.replace = (path, answer) => answer
}

async function forgetSessions({ database }, noticed) {
  await database.sql('DELETE FROM countersign.sessions')
  await noticed()
}
