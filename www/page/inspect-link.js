import { FIELDS, isFromToken } from './inspect-options.js'

const TEXTS = ['token', 'keys', 'jwks']

/**
 * @typedef {object} State what the page shows
 * @property {string} token
 * @property {string} keys the text of a key set
 * @property {string} jwks the URL of a key set
 * @property {boolean} follow true if the fields that a token can fill in come from it
 * @property {import('./inspect-options.js').Fields} fields
 */

/** The page without anything. */
export const EMPTY = stateOf('token')

/**
 * Writes a state as the fragment of a link. Browsers send no fragment to a server.
 *
 * @param {State} state
 */
export function fragmentOf({ follow, fields, ...texts }) {
  const parameters = new URLSearchParams()
  for (const name of TEXTS) if (texts[name]) parameters.set(name, texts[name])
  for (const name of FIELDS) if (fields[name] && !(follow && isFromToken(name))) parameters.set(name, fields[name] === true ? '1' : fields[name])
  if (!follow) parameters.set('follow', '0')
  return `#${parameters}`
}

/**
 * Reads the fragment of a link. A link to a token alone is `#token=…`. With a field that a token can fill in, none is filled in.
 *
 * @param {string} fragment such as `location.hash`
 * @returns {State | undefined} `undefined` for the fragment of anything else
 */
export function stateOf(fragment) {
  const parameters = new URLSearchParams(fragment.replace(/^#/, ''))
  const text = (name) => parameters.get(name) ?? ''
  if (![...TEXTS, ...FIELDS].some((name) => parameters.has(name))) return undefined
  return {
    ...Object.fromEntries(TEXTS.map((name) => [name, text(name)])),
    follow: text('follow') !== '0' && !FIELDS.some((name) => isFromToken(name) && parameters.has(name)),
    fields: Object.fromEntries(FIELDS.map((name) => [name, name.startsWith('any') ? text(name) === '1' : text(name)])),
  }
}
