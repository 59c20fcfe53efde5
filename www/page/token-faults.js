import { fromBase64url } from './base64url.js'
import { faultOfJson } from './json-fault.js'

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
const PARTS = ['header', 'payload', 'signature']

/**
 * Finds the first fault in the form of each part of a token.
 *
 * @param {string} token without white space at its ends
 * @returns {{ part: string, at?: number, says: string }[]} `at` is the index of the fault in the token
 */
export function faultsOf(token) {
  const parts = token.split('.')
  const faults = []
  if (parts.length !== PARTS.length) {
    const dots = parts.length - 1
    faults.push({ part: 'token', says: `has ${dots} ${dots === 1 ? 'dot' : 'dots'}: expected two, in header.payload.signature` })
  }
  let start = 0
  for (const [i, text] of parts.entries()) {
    // The other parts of an encrypted token have other contents.
    if (i === 0 || (parts.length <= PARTS.length && i < PARTS.length)) {
      const fault = faultOfForm(text) ?? (i < 2 ? faultOfContent(text) : undefined)
      if (fault !== undefined) faults.push({ part: PARTS[i], at: fault.at === undefined ? undefined : start + fault.at, says: fault.says })
    }
    start += text.length + 1
  }
  return faults
}

/** Finds the first fault of a text that should be base64url without padding (RFC 7515 §2, RFC 4648 §3.5). */
function faultOfForm(text) {
  if (text === '') return { says: 'is empty' }
  const at = text.search(/[^\w-]/)
  if (at >= 0) return { at, says: `has ${wordsFor(text, at)}` }
  const spare = text.length % 4
  if (spare === 1) return { at: text.length - 1, says: `has ${text.length} characters, which is no length of base64url: a character is missing, or one too many` }
  const unusedBits = spare === 2 ? 15 : spare === 3 ? 3 : 0
  if ((ALPHABET.indexOf(text.at(-1)) & unusedBits) !== 0) {
    return { at: text.length - 1, says: 'has a last character with bits that must be zero: it was changed, or something was cut off' }
  }
  return undefined
}

function wordsFor(text, at) {
  const character = String.fromCodePoint(text.codePointAt(at))
  if (character === '=') return 'padding: base64url has none here'
  if (character === '+' || character === '/') return `“${character}”, which is base64: base64url has ${character === '+' ? '-' : '_'} instead`
  if (/\s/.test(character)) return 'white space'
  if (character === '%') return '“%”: it was encoded for a URL'
  return `“${character}”, which base64url does not have`
}

/** Finds the first fault of a part of correct base64url that should hold a JSON object. */
function faultOfContent(text) {
  const octets = fromBase64url(text)
  const broken = brokenOctet(octets)
  if (broken >= 0) return { at: digitOf(broken), says: 'is not UTF-8 after decoding' }
  const json = new TextDecoder('utf-8', { ignoreBOM: true }).decode(octets)
  const fault = faultOfJson(json)
  if (fault === undefined) return undefined
  const before = new TextEncoder().encode(json.slice(0, fault.at)).length
  return { at: Math.min(digitOf(before), text.length - 1), says: `${fault.says}, at character ${fault.at + 1} after decoding` }
}

/** Returns the index of the octet at which UTF-8 breaks off; −1 if it is whole. */
function brokenOctet(octets) {
  const isWhole = (length, stream) => {
    try {
      new TextDecoder('utf-8', { fatal: true }).decode(octets.subarray(0, length), { stream })
      return true
    } catch {
      return false
    }
  }
  if (isWhole(octets.length, false)) return -1
  let [good, bad] = [0, octets.length + 1]
  while (bad - good > 1) {
    const middle = (good + bad) >> 1
    if (isWhole(middle, true)) good = middle
    else bad = middle
  }
  return Math.min(good, octets.length - 1)
}

/** Returns the index of the base64url digit in which an octet begins. */
function digitOf(octet) {
  return Math.floor((octet * 8) / 6)
}
