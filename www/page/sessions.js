// The page around two tabs that share a session: it sets the machine that they run on, and shows what they tell.

import { demoIssuer } from './demo-issuer.js'
import { byId } from './dom.js'
import { say } from './notice.js'
import { createLog } from './sessions-log.js'
import { createSmallIssuer } from './small-issuer.js'
import { serve } from './small-issuer-port.js'
import { SMALL_ISSUER } from './small-issuer-settings.js'

const HOUR_MS = 3_600_000

const NUMBERS = [1, 2]
const frames = NUMBERS.map((number) => byId(`tab-${number}`))

const demo = await demoIssuer().catch(() => undefined)
if (demo === undefined) say('The demo’s server did not answer. Is it running? Start it with “cargo xtask start”, then load the page again.', 'error')
else start(demo)

function start(demo) {
  const log = createLog()
  const machine = { wall: 0, steady: 0, online: true }
  /** By tab: when its access token expires, by this page's clock. */
  const expiries = new Map()
  const issuer = demo === null ? smallIssuer() : { url: demo.issuer, user: { username: demo.username, password: demo.password }, connect: () => [] }
  describe(demo, issuer)

  addEventListener('message', ({ data, origin, source }) => {
    const tab = NUMBERS[frames.findIndex((frame) => frame.contentWindow === source)]
    if (tab === undefined || origin !== location.origin) return
    if (data.kind === 'ready') welcome(tab)
    else if (data.kind === 'state') expiries.set(tab, performance.now() + data.left * 1000)
    else log.tell(tab, data)
  })
  // A frame may have asked before this script listened.
  for (const tab of NUMBERS) welcome(tab)

  function welcome(tab) {
    const { contentWindow } = frames[tab - 1]
    contentWindow.postMessage({ kind: 'start', number: tab, issuer: issuer.url, user: issuer.user, machine }, location.origin, issuer.connect())
  }

  function change(next, words) {
    Object.assign(machine, next)
    log.note(words)
    for (const { contentWindow } of frames) contentWindow.postMessage({ kind: 'machine', machine }, location.origin)
  }

  byId('expire').addEventListener('click', () => {
    const left = Math.max(0, ...[...expiries.values()].map((at) => at - performance.now()))
    if (left === 0) return say('There is no token to expire: log in in one of the tabs.')
    say('')
    change({ wall: machine.wall + left, steady: machine.steady + left }, 'Time passes: the access token expires in both tabs')
  })
  byId('offline-switch').addEventListener('click', ({ currentTarget }) => {
    const online = !machine.online
    currentTarget.setAttribute('aria-pressed', String(!online))
    change({ online }, online ? 'The machine is online again' : 'The machine goes offline')
  })
  byId('sleep').addEventListener('click', () => {
    change({ wall: machine.wall + HOUR_MS }, 'The machine wakes after an hour: no timer ran, and one of its clocks stood still')
  })
  byId('reload-both').addEventListener('click', () => {
    log.note('Both tabs are reloaded at once: no tab has the tokens any more')
    for (const { contentWindow } of frames) contentWindow.location.reload()
  })
  byId('clear').addEventListener('click', () => log.clear())
}

function describe(demo, { url, isShared }) {
  byId('about').textContent =
    demo === null
      ? 'There is no server: a small issuer runs in your browser and signs with WebCrypto. Its tokens live for a minute, so that you can watch a refresh. Nothing leaves the page, which also works offline.'
      : `The issuer is real: the demo’s at ${url}. Each request in the log goes there.`
  if (demo !== null) byId('second-tab').textContent = 'Open this page in a real second tab, or the page “Try”: they share the session, too.'
  else if (isShared) byId('second-tab').textContent = 'Open this page in a real second tab: it shares the session, too.'
}

/** Runs the small issuer: in a worker that all tabs of this site share, or where browsers have none, in this page. */
function smallIssuer() {
  const { issuer: url, user } = SMALL_ISSUER
  if (typeof SharedWorker !== 'undefined') {
    const connect = () => [new SharedWorker(new URL('small-issuer-worker.js', import.meta.url), { type: 'module' }).port]
    return { url, user, connect, isShared: true }
  }
  const issuer = createSmallIssuer(SMALL_ISSUER)
  const connect = () => {
    const { port1, port2 } = new MessageChannel()
    serve(port1, issuer)
    return [port2]
  }
  return { url, user, connect, isShared: false }
}
