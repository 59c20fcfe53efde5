import { describe, problemOf } from 'countersign/cli/findings'
import { kindOf } from 'countersign/cli/reading'
import { show, showUpTo } from 'countersign/cli/show'
import { distance } from 'countersign/cli/times'
import { fromBase64url } from './base64url.js'
import { meaningOf, noteOn } from './claim-words.js'
import { el } from './dom.js'
import { faultsOf } from './token-faults.js'
import { sentence } from './verdict-view.js'

const PARTS = ['header', 'payload', 'signature']

/** Characters of a part and of a value. A token for HTTP is shorter than the first. */
const MAX_PART_SHOWN = 20_000
const MAX_VALUE_SHOWN = 2000
const MAX_MEMBERS_SHOWN = 200
const MAX_OCTETS_SHOWN = 1024

/**
 * Shows the parts of a token, its faults, and each member with its meaning.
 *
 * @param {{ faults: HTMLElement, encoded: HTMLElement, decoded: HTMLElement }} places
 * @param {object} found `token`, its `reading` if there is one, a `problem` with the whole text, and a `guess` at its kind
 * @param {() => number} now returns the time in UNIX seconds
 * @returns {() => void} shows the times again
 */
export function showParts(places, { token, reading, problem, guess }, now) {
  const faults = token === '' ? [] : faultsOf(token)
  const summary = problem ?? reading?.fault ?? (reading === undefined ? guess : undefined)
  places.faults.replaceChildren(
    ...(token === '' && problem === undefined ? [] : [summary].filter(Boolean).map((text) => el('li', {}, el('strong', {}, sentence(text))))),
    ...faults.map(faultItem),
  )
  places.encoded.replaceChildren(...encodedParts(token, faults))
  places.encoded.hidden = token === ''
  const notes = []
  places.decoded.replaceChildren(
    ...(reading === undefined ? [] : [panel('header', kindOf(reading.header.members.typ), members('header', reading.header, notes))]),
    ...(reading?.payload === undefined ? [] : [panel('payload', 'claims', members('payload', reading.payload, notes))]),
    ...signaturePanel(token, faults),
  )
  const tick = () => notes.forEach((note) => note(now()))
  tick()
  return tick
}

function faultItem({ part, at, says }) {
  const place = at === undefined ? '' : `, character ${(at + 1).toLocaleString()} of the text`
  return el('li', {}, el('span.fault-part', {}, `The ${part}${place}:`), ` ${says}.`)
}

/** Returns the text of the token, with a colour for each part and a mark at each fault. */
function encodedParts(token, faults) {
  const parts = token.split('.', PARTS.length + 3)
  const isEncrypted = token.split('.').length === 5
  let start = 0
  return parts.flatMap((text, i) => {
    const at = faults.find((fault) => fault.at >= start && fault.at < start + Math.max(text.length, 1))?.at
    const content = marked(text, at === undefined ? undefined : at - start)
    start += text.length + 1
    const name = isEncrypted && i > 0 ? undefined : PARTS[i]
    return [...(i > 0 ? [el('span.dot', {}, '.')] : []), el(name === undefined ? 'span' : `span.${name}`, { title: name ?? false }, ...content)]
  })
}

function marked(text, at) {
  const cut = text.length > MAX_PART_SHOWN ? ` … and ${(text.length - MAX_PART_SHOWN).toLocaleString()} more characters` : ''
  const shown = text.slice(0, MAX_PART_SHOWN)
  if (at === undefined || at >= shown.length) return [shown, cut]
  const character = String.fromCodePoint(shown.codePointAt(at))
  return [shown.slice(0, at), el('mark', {}, character), shown.slice(at + character.length), cut]
}

function panel(part, about, content) {
  return el(`section.part.${part}`, { 'aria-labelledby': `part-${part}` }, el('h3', { id: `part-${part}` }, part[0].toUpperCase() + part.slice(1), el('span.size', {}, about)), content)
}

function members(part, { members, rest }, notes) {
  const all = Object.entries(members)
  const more = all.length - MAX_MEMBERS_SHOWN
  return el(
    'dl.claims',
    {},
    ...all.slice(0, MAX_MEMBERS_SHOWN).map(([name, value]) => member(part, name, value, notes)),
    ...(more > 0 ? [el('div', {}, el('dt', {}, '…'), el('dd', {}, `and ${more.toLocaleString()} more`))] : []),
    ...(rest === undefined ? [] : [el('div', {}, el('dt', {}, 'cut off'), el('dd', {}, el('code.value', {}, showUpTo(MAX_VALUE_SHOWN, rest))))]),
  )
}

function member(part, name, value, notes) {
  const { meaning, source, url } = meaningOf(part, name)
  const note = el('span.note')
  notes.push((now) => {
    const text = noteOn(part, name, value, { now, relative: distance }) ?? ''
    // Without a change nothing is touched, so that a text selection stays.
    if (note.textContent !== text) note.textContent = text
  })
  return el(
    'div',
    {},
    el('dt', {}, el('code', {}, show(name))),
    el(
      'dd',
      {},
      el('code.value', {}, showUpTo(MAX_VALUE_SHOWN, JSON.stringify(value))),
      note,
      el('span.meaning', {}, meaning, ...(source === undefined ? [] : [' ', el('a', { href: url, rel: 'noreferrer' }, source)])),
    ),
  )
}

function signaturePanel(token, faults) {
  const parts = token.split('.')
  if (parts.length !== PARTS.length || faults.some(({ part }) => part === 'signature')) return []
  const octets = fromBase64url(parts[2])
  const hex = Array.from(octets.subarray(0, MAX_OCTETS_SHOWN), (octet) => octet.toString(16).padStart(2, '0')).join(' ')
  const content = el('div', {}, el('p.meaning', {}, 'over the two parts before it, with the dot between them'), el('code.hex', { translate: 'no' }, hex))
  return [panel('signature', `${octets.length.toLocaleString()} bytes, ${octets.length * 8} bits`, content)]
}

/**
 * Shows that there is no verdict, and why.
 *
 * @param {{ verdict: HTMLElement, stages: HTMLElement, echo: HTMLElement }} places as for `showVerdict`
 */
export function showNoVerdict({ verdict, stages, echo }, why) {
  verdict.className = 'none'
  verdict.replaceChildren(el('div', {}, el('p.word', {}, 'No verdict'), el('p.message', {}, sentence(why))))
  stages.replaceChildren()
  echo.className = 'echo'
  echo.textContent = 'No verdict'
}

/**
 * Shows each key of a set: usable, or why not.
 *
 * @param {HTMLElement} place
 * @param {import('countersign/cli/findings').Finding[]} findings
 * @param {number} most the number of keys to show
 * @param {unknown} kid of the token
 */
export function showFindings(place, findings, most, kid) {
  const more = findings.length - most
  const isSecret = findings.some(({ secret }) => secret)
  place.replaceChildren(
    ...(isSecret ? [el('li.secret', {}, 'The set has a private or secret key. It stays in this page, but replace it: anyone who has read it can sign tokens.')] : []),
    ...findings.slice(0, most).map((finding) => findingItem(finding, kid)),
    ...(more > 0 ? [el('li', {}, `and ${more.toLocaleString()} more keys`)] : []),
  )
}

function findingItem({ key, refusal, warnings }, kid) {
  const named = (key.kid ?? undefined) !== undefined
  return el(
    'li',
    {},
    el('code', {}, named ? show(key.kid) : '(no kid)'),
    ` ${describe(key)} `,
    ...(named && key.kid === kid ? [el('span.signed', {}, 'the token’s'), ' '] : []),
    el(refusal === undefined ? 'span.usable' : 'span.unusable', {}, refusal === undefined ? 'usable' : 'not usable'),
    refusal === undefined ? '' : `: ${problemOf(refusal)}`,
    warnings.length === 0 ? '' : `${refusal === undefined ? ', but ' : '; '}${warnings.join(', ')}`,
  )
}

/**
 * Says where the keys of the token's issuer may be. The issuer is not verified: only a press takes its address.
 *
 * @param {HTMLElement} place
 * @param {unknown} issuer the claim `iss`
 * @param {(url: string) => void} onTake
 */
export function showMetadata(place, issuer, onTake) {
  const url = metadataUrl(issuer)
  if (place.dataset.url === (url ?? '')) return
  place.dataset.url = url ?? ''
  if (url === undefined) return place.replaceChildren('They are at the jwks_uri that the issuer’s metadata names. Each key is checked as the command countersign lint does.')
  const button = el('button', { type: 'button', id: 'take' }, 'Take it')
  button.addEventListener('click', () => onTake(url))
  place.replaceChildren('The token says that its issuer’s metadata is at ', el('code', {}, show(url)), '. ', button)
}

function metadataUrl(issuer) {
  if (typeof issuer !== 'string' || !/^https?:\/\//.test(issuer) || !URL.canParse(issuer)) return undefined
  const { href, search, hash } = new URL(issuer)
  return search + hash === '' ? `${href.replace(/\/$/, '')}/.well-known/openid-configuration` : undefined
}
