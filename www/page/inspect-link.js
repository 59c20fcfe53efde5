import { FIELDS } from './inspect-options.js'

const TEXTS = ['token', 'keys', 'jwks']

/**
 * Writes what the page shows as the fragment of a link. Browsers send no fragment to a server.
 *
 * @param {{ token: string, keys: string, jwks: string, fields: import('./inspect-options.js').Fields | undefined }} state `keys`
 *   is the text of a key set, `jwks` its URL; without `fields` they are filled in from the token
 */
export function fragmentOf({ fields, ...texts }) {
  const parameters = new URLSearchParams()
  for (const name of TEXTS) if (texts[name]) parameters.set(name, texts[name])
  for (const name of FIELDS) if (fields?.[name]) parameters.set(name, fields[name] === true ? '1' : fields[name])
  return `#${parameters}`
}

/**
 * Reads the fragment of a link.
 *
 * @param {string} fragment such as `location.hash`
 * @returns {Parameters<typeof fragmentOf>[0] | undefined} the same state; `undefined` for the fragment of anything else
 */
export function stateOf(fragment) {
  const parameters = new URLSearchParams(fragment.replace(/^#/, ''))
  const text = (name) => parameters.get(name) ?? ''
  const hasFields = FIELDS.some((name) => parameters.has(name))
  if (!hasFields && !TEXTS.some((name) => parameters.has(name))) return undefined
  const fields = FIELDS.map((name) => [name, name.startsWith('any') ? text(name) === '1' : text(name)])
  return { ...Object.fromEntries(TEXTS.map((name) => [name, text(name)])), fields: hasFields ? Object.fromEntries(fields) : undefined }
}
