/**
 * The fields of the form, as texts and booleans by their names. Fields of several values have one on each line.
 *
 * @typedef {Record<string, string | boolean>} Fields
 */

/** The names of the fields, in the order of the form. */
export const FIELDS = [
  'issuer', 'audience', 'anyAudience', 'type', 'anyType', 'claims', 'requiredClaims', 'scope', 'scopeClaim',
  'clockTolerance', 'maxTokenAge', 'maxTokenBytes', 'time',
]

/** The fields that can be filled in from a token. */
const FROM_TOKEN = ['issuer', 'audience', 'anyAudience', 'type', 'anyType', 'claims']

/** Claims that tell the tokens for one service apart if there is no audience, the best one first. */
const INSTEAD_OF_AUDIENCE = ['client_id', 'azp', 'cid', 'appid']

const DEFAULT_TYPE = 'at+jwt'

/**
 * Returns the values of the fields for which a verifier accepts the names in this token. That trusts the token.
 *
 * @param {Record<string, unknown>} header
 * @param {Record<string, unknown>} payload
 * @returns {Fields}
 */
export function fieldsFor({ typ }, { iss, aud, ...claims }) {
  const other = aud === undefined ? INSTEAD_OF_AUDIENCE.find((name) => typeof claims[name] === 'string') : undefined
  return {
    issuer: typeof iss === 'string' ? iss : '',
    audience: [aud ?? []].flat().filter((one) => typeof one === 'string').join('\n'),
    anyAudience: aud === undefined,
    type: typeof typ === 'string' && typ.toLowerCase().replace(/^application\//, '') !== DEFAULT_TYPE ? typ : '',
    anyType: typ === undefined,
    claims: other === undefined ? '' : `${other}=${JSON.stringify(claims[other])}`,
  }
}

/** Returns true if a field can be filled in from a token. */
export function isFromToken(name) {
  return FROM_TOKEN.includes(name)
}

/**
 * Makes the options of `createVerifier`, without `jwks`. Fields that are empty are left out. The verifier checks the values.
 *
 * @param {Fields} fields
 * @param {(texts: string[]) => object} readClaims reads texts such as `client_id=web`; throws on others
 * @throws {Error} for a claim without a value, or a time that is none
 */
export function optionsOf(fields, readClaims) {
  const time = fields.time?.trim() ? readTime(fields.time.trim()) : undefined
  const options = {
    issuer: several(fields.issuer),
    audience: fields.anyAudience ? null : several(fields.audience),
    type: fields.anyType ? null : several(fields.type),
    claims: several(fields.claims) && readClaims(lines(fields.claims)),
    requiredClaims: several(fields.requiredClaims) && lines(fields.requiredClaims),
    scope: fields.scope?.trim() || undefined,
    scopeClaim: fields.scopeClaim?.trim() || undefined,
    clockTolerance: number(fields.clockTolerance),
    maxTokenAge: number(fields.maxTokenAge),
    maxTokenBytes: number(fields.maxTokenBytes),
    now: time === undefined ? undefined : () => time,
  }
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined))
}

/**
 * Writes the options as JavaScript.
 *
 * @param {object} options the result of `optionsOf`
 * @param {string} jwks the URL of the key set, or '' if the keys were pasted
 */
export function codeOf({ now, ...options }, jwks) {
  const members = Object.entries(options).map(([name, value]) => `  ${name}: ${literal(value)},\n`)
  if (now !== undefined) members.push(`  now: () => ${now()}, // only for tests\n`)
  const keys = jwks === '' ? '  jwks: keySet, // the JWK Set object, or better its URL\n' : `  jwks: ${literal(jwks)},\n`
  return `import { createVerifier } from ${literal('countersign')}

const verifier = await createVerifier({
${members.join('')}${keys}})

const { payload } = await verifier.verify(token)
`
}

/** Reads the lines of a field: one is a text, several are an array, none is `undefined`. */
function several(text) {
  const found = lines(text)
  return found.length > 1 ? found : found[0]
}

function lines(text = '') {
  return text.split('\n').map((line) => line.trim()).filter(Boolean)
}

function number(text) {
  return text?.trim() ? Number(text) : undefined
}

/** Reads seconds since 1970, or a date. */
function readTime(text) {
  const seconds = /^\d+(?:\.\d+)?$/.test(text) ? Number(text) : Date.parse(text) / 1000
  if (!Number.isFinite(seconds)) throw new Error('the time is none: expected seconds since 1970, or a date such as 2026-11-29T12:00:00Z')
  return seconds
}

function literal(value) {
  if (typeof value === 'string') return quote(value)
  if (Array.isArray(value)) return `[${value.map(literal).join(', ')}]`
  if (typeof value !== 'object' || value === null) return String(value)
  const members = Object.entries(value).map(([name, member]) => `${/^[a-z_$][\w$]*$/i.test(name) ? name : quote(name)}: ${literal(member)}`)
  return `{ ${members.join(', ')} }`
}

/** Writes a string in single quotes. Invisible characters become escapes, because they could show a text other than the real one. */
function quote(text) {
  const escaped = text.replace(/['\\]/g, '\\$&').replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, (character) => `\\u{${character.codePointAt(0).toString(16)}}`)
  return `'${escaped}'`
}
