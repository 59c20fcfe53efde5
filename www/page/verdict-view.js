import { el, svg } from './dom.js'

/** The stages of the verifier in their order, with the subject of each. */
const STAGES = [
  ['parse', 'three parts, strict base64url'],
  ['header', 'RS256, access token'],
  ['key', 'one matching key'],
  ['signature', 'made with that key'],
  ['claims', 'issuer, audience, times'],
]

/**
 * Shows a verdict: `error` is the `VerifyError` of a refusal, undefined for a token that was accepted.
 *
 * @param {{ verdict: HTMLElement, stages: HTMLElement, echo: HTMLElement }} places `echo` repeats it in one line, for
 *   narrow screens that have scrolled past the verdict
 * @param {{ code: string, stage: string, message: string } | undefined} error
 */
export function showVerdict({ verdict, stages, echo }, error) {
  const refused = error !== undefined
  echo.className = `echo ${refused ? 'refused' : 'accepted'}`
  echo.replaceChildren(refused ? 'Refused: ' : 'Accepted', ...(refused ? [el('code', {}, error.code)] : []))
  verdict.className = refused ? 'refused' : 'accepted'
  verdict.replaceChildren(
    icon(refused),
    el(
      'div',
      {},
      el('p.word', {}, refused ? 'Refused' : 'Accepted'),
      refused
        ? el('p.code', {}, el('code', { id: 'code' }, error.code), ' at stage ', el('code', { id: 'stage' }, error.stage))
        : el('p.code', {}, el('code', { id: 'code' }, 'ok'), ' every stage passed'),
      el('p.message', {}, refused ? sentence(error.message) : 'The signature is valid for one of the issuer’s keys, and the claims are as expected.'),
    ),
  )
  const failedAt = refused ? STAGES.findIndex(([name]) => name === error.stage) : STAGES.length
  stages.replaceChildren(
    ...STAGES.map(([name, looksAt], i) => {
      const [state, said] = i < failedAt ? ['passed', 'passed'] : i === failedAt ? ['failed', 'failed'] : ['skipped', 'not reached']
      return el(`li.${state}`, {}, el('span.name', {}, name), el('span.looks-at', {}, looksAt), el('span.state', {}, said))
    }),
  )
}

/**
 * Shows the time of a verdict: the result of `measure`, undefined if there is none, or null while it runs.
 */
export function showTiming(place, timing) {
  if (timing === null) return place.replaceChildren(el('strong', {}, '…'), el('span', {}, 'being timed'))
  if (timing === undefined) return place.replaceChildren(el('strong', {}, '–'), el('span', {}, 'the clock here stands still'))
  const { microseconds, batches, runs } = timing
  place.replaceChildren(
    el('strong', { id: 'microseconds' }, `${microseconds < 100 ? microseconds.toFixed(1) : Math.round(microseconds).toLocaleString()} µs`),
    el('span', {}, 'a verdict, in WebAssembly'),
    el('span', {}, `median of ${batches} × ${runs.toLocaleString()}, warmed up`),
  )
}

/** Draws a tick in a circle or a cross in an octagon, which can be told apart without colours. */
function icon(refused) {
  const shape = refused ? 'M20 4h24l16 16v24L44 60H20L4 44V20z' : 'M32 3a29 29 0 1 1 0 58 29 29 0 0 1 0-58z'
  const sign = refused ? 'M22 22l20 20M42 22L22 42' : 'M19 33l9 9 18-20'
  return svg('svg.icon', { viewBox: '0 0 64 64', 'aria-hidden': 'true' }, svg('path.shape', { d: shape }), svg('path.sign', { d: sign }))
}

/** Makes a sentence of an error's message. */
export function sentence(message) {
  const text = message[0].toUpperCase() + message.slice(1)
  return /[.!?]$/.test(text) ? text : `${text}.`
}
