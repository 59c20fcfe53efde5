import { decodePart, fromBase64url } from './base64url.js'
import { el } from './dom.js'
import { dateTime } from './time.js'

/** The meanings of claims and header parameters. */
const MEANINGS = {
  alg: 'signature algorithm',
  typ: 'token type',
  kid: 'key that signed it',
  iss: 'issuer',
  sub: 'subject',
  aud: 'audience',
  client_id: 'client',
  scope: 'permissions',
  iat: 'issued at',
  nbf: 'not before',
  exp: 'expires at',
  jti: 'token ID',
  sid: 'session',
}
const TIMES = new Set(['iat', 'nbf', 'exp'])
const PARTS = ['header', 'payload', 'signature']

/**
 * Shows a token: its text in three colours, and each part decoded. Characters and members that differ from `original` are
 * marked, with the old value struck out beside the new one.
 *
 * @param {{ encoded: HTMLElement, decoded: HTMLElement }} places
 * @param {string} token
 * @param {string} original the token as the issuer made it
 */
export function showToken({ encoded, decoded }, token, original) {
  const parts = token.split('.')
  const originals = original.split('.')
  encoded.replaceChildren(
    ...parts.flatMap((part, i) => [
      ...(i > 0 ? [el('span.dot', {}, '.')] : []),
      el(`span.${PARTS[i]}`, { title: PARTS[i] }, ...markChanges(part, originals[i])),
    ]),
  )
  decoded.replaceChildren(
    panel('header', parts[0].length, members(parts[0], originals[0])),
    panel('payload', parts[1].length, members(parts[1], originals[1])),
    panel('signature', parts[2].length, signature(parts[2], originals[2])),
  )
}

/** Returns the text with a mark around the part that differs from `original`. */
function markChanges(text, original) {
  if (text === original) return [text]
  let start = 0
  while (start < text.length && text[start] === original[start]) start += 1
  let end = 0
  while (end < Math.min(text.length, original.length) - start && text.at(-1 - end) === original.at(-1 - end)) end += 1
  const changed = text.slice(start, text.length - end)
  return [text.slice(0, start), el('mark', {}, changed === '' ? '(gone)' : changed), text.slice(text.length - end)]
}

function panel(part, length, content) {
  return el(
    `section.part.${part}`,
    { 'aria-labelledby': `part-${part}` },
    el('h3', { id: `part-${part}` }, part[0].toUpperCase() + part.slice(1), el('span.size', {}, `${length} characters`)),
    content,
  )
}

function members(part, originalPart) {
  let now
  try {
    now = decodePart(part)
  } catch {
    return el('p', {}, 'Not JSON.')
  }
  const before = decodePart(originalPart)
  return el('dl', {}, ...Object.entries(now).flatMap(([name, value]) => member(name, value, before[name])))
}

function member(name, value, before) {
  const changed = JSON.stringify(value) !== JSON.stringify(before)
  const shown = changed
    ? [el('del', {}, valueText(before)), ' ', el('ins', {}, valueText(value))]
    : [valueText(value)]
  const meaning = TIMES.has(name) && typeof value === 'number' ? `${MEANINGS[name]} ${dateTime(value)}` : MEANINGS[name]
  return [
    el('dt', {}, el('code', {}, name)),
    el('dd', {}, el('code.value', {}, ...shown), ...(meaning === undefined ? [] : [el('span.meaning', {}, meaning)])),
  ]
}

function valueText(value) {
  return value === undefined ? 'absent' : JSON.stringify(value)
}

function signature(part, originalPart) {
  if (part === '') return el('p', {}, 'None.')
  const bytes = fromBase64url(part)
  const before = part === originalPart ? bytes : fromBase64url(originalPart)
  const hex = el('code.hex', { translate: 'no' })
  bytes.forEach((byte, i) => {
    const text = byte.toString(16).padStart(2, '0')
    hex.append(byte === before[i] ? text : el('mark', {}, text), i < bytes.length - 1 ? ' ' : '')
  })
  return el('div', {}, el('p.meaning', {}, `${bytes.length} bytes over the two parts before it, dot included`), hex)
}
