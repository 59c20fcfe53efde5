import { byId } from './dom.js'
import { kernelInUse } from './kernel-in-use.js'
import { guarded, say } from './notice.js'
import { checkVerdicts, loadScripts, makeContestants, makeTokens } from './race-contestants.js'
import { compare } from './race-results.js'
import { race } from './race-run.js'
import { createLanes, summaryOf } from './race-view.js'

const TOKENS = 256

const LANES = {
  countersign: 'WebAssembly, on this thread',
  WebCrypto: 'native, on another thread, with code by hand',
  jose: 'npm package, on WebCrypto',
}

const reducedMotion = matchMedia('(prefers-reduced-motion: reduce)')
const lanes = createLanes(byId('lanes'), LANES, () => reducedMotion.matches)

let stop = new AbortController()
let prepared
/** The number of times that the tab was hidden or shown. */
let changes = 0

async function run() {
  stop = new AbortController()
  setRunning(true)
  lanes.clear()
  try {
    if (prepared === undefined) say(`Making a key and ${TOKENS} tokens …`)
    prepared ??= await makeTokens(TOKENS, pause)
    const { issuer, tokens } = prepared
    const contestants = await makeContestants(issuer, Number(byId('at-once').value))
    const checked = await checkVerdicts(contestants, issuer)
    say(`Each gave the right verdict on ${checked} tokens. The race is on …`)
    await raceOf(contestants, tokens, Number(byId('length').value))
  } finally {
    setRunning(false)
  }
}

async function raceOf(contestants, tokens, length) {
  const before = changes
  const onRound = (standings) => lanes.show(compare(standings), length)
  const options = { length, signal: stop.signal, pause, frame, disturbance: () => changes, onRound }
  const results = compare(await race(contestants, tokens, options))
  lanes.show(results, length, true)
  const noisy = results.some(({ isNoisy }) => isNoisy) || changes !== before
  say(`${summaryOf(results)}${noisy ? ' The times differed much between the rounds: close other tabs and programs, and run it again.' : ''}`, noisy ? 'warning' : '')
}

/** Lets the page respond. */
function pause() {
  return new Promise((resolve) => setTimeout(resolve))
}

/** Lets the page paint. A hidden tab paints nothing, and so waits here until it is seen again. */
function frame() {
  return new Promise((resolve) => requestAnimationFrame(resolve))
}

function setRunning(isRunning) {
  const hadFocus = [byId('start'), byId('stop')].includes(document.activeElement)
  byId('start').hidden = isRunning
  byId('stop').hidden = !isRunning
  for (const id of ['length', 'at-once']) byId(id).disabled = isRunning
  // The button that had it is hidden.
  if (hadFocus) byId(isRunning ? 'stop' : 'start').focus()
}

byId('settings').addEventListener('submit', (event) => {
  event.preventDefault()
  void guarded(run)
})
byId('stop').addEventListener('click', () => stop.abort())
document.addEventListener('visibilitychange', () => {
  changes += 1
  if (document.hidden && byId('start').hidden) say('Paused while the tab is hidden.')
})

await guarded(async () => {
  const { name, words, file } = await kernelInUse()
  byId('kernel').replaceChildren(`countersign computes with its ${name} kernel here: ${words} (${file}).`)
  await loadScripts()
  byId('start').disabled = false
})
