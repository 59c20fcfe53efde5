import { el } from './dom.js'
import { shortDate } from './time.js'

const STATES = ['published', 'active', 'retiring']
const SAID = { published: 'waiting its turn', active: 'signs new tokens', retiring: 'only verifies old tokens' }

/**
 * Shows the issuer's keys, the one that signs first.
 *
 * @param {HTMLElement} place
 * @param {object} shown
 * @param {{ keys: { kid: string, use?: string, alg?: string, n?: string }[] } | null} shown.jwks the key set
 *   that the issuer publishes; null if it is not known
 * @param {{ kid: string, state: string }[] | null} shown.states the issuer's own list; null if it is not known
 * @param {string | undefined} shown.signedBy the `kid` of the token on the page
 * @param {boolean} shown.stale true if the issuer did not answer this time
 */
export function showKeys(place, { jwks, states, signedBy, stale }) {
  if (jwks === null) {
    place.replaceChildren(el('p.notice.error', {}, 'The issuer’s keys could not be fetched. Is the issuer running? They appear here as soon as it answers.'))
    return
  }
  const stateOf = (kid) => states?.find((state) => state.kid === kid)
  const order = (kid) => (stateOf(kid)?.state === 'active' ? -1 : STATES.indexOf(stateOf(kid)?.state))
  const keys = [...jwks.keys].sort((a, b) => order(a.kid) - order(b.kid))
  place.replaceChildren(
    el('ul.key-list', {}, ...keys.map((jwk) => key(jwk, stateOf(jwk.kid), jwk.kid === signedBy))),
    ...(stale ? [el('p.notice.error', {}, 'The issuer does not answer. These are the keys that it published last.')] : []),
    ...(states === null ? [el('p.notice', {}, 'The state of the keys is unknown: the issuer’s command line could not be run.')] : []),
  )
}

function key(jwk, state, signedThis) {
  return el(
    'li',
    { 'data-kid': jwk.kid },
    el(
      'p.key-title',
      {},
      el('code', { title: jwk.kid }, `${jwk.kid.slice(0, 10)}…`),
      ...(state === undefined ? [] : [el(`span.state.${state.state}`, {}, state.state), el('span.meaning', {}, SAID[state.state] ?? '')]),
      ...(signedThis ? [el('span.signed', {}, 'signed this token')] : []),
    ),
    el('p.key-facts', {}, [`${state?.bits ?? bitsOf(jwk)} bits`, jwk.alg, jwk.use === undefined ? undefined : `use: ${jwk.use}`].filter(Boolean).join(' · ')),
    ...(state === undefined ? [] : [lifeLine(state)]),
  )
}

/** Draws published → active → retiring → gone, with the past part filled, and the known dates. */
function lifeLine({ state, created_at: created, activates_at: activates, retires_at: retires, drops_at: drops }) {
  const reached = STATES.indexOf(state)
  const stops = [
    ['published', created],
    ['active', activates],
    ['retiring', retires],
    ['gone', drops],
  ]
  return el(
    'ol.life',
    { 'aria-label': 'Life of this key' },
    ...stops.map(([name, at], i) =>
      el(
        `li.${i < reached ? 'past' : i === reached ? 'now' : 'ahead'}`,
        i === reached ? { 'aria-current': 'step' } : {},
        el('span.stop', {}, name),
        el('span.at', {}, at === null ? 'not yet set' : shortDate(at)),
      ),
    ),
  )
}

/** Returns the length of the modulus: base64url has six bits for each character, and the first bit of the modulus is set. */
function bitsOf({ n = '' }) {
  return Math.floor((n.length * 6) / 8) * 8
}
