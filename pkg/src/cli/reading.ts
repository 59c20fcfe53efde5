import { isObject } from '../options.js'
import { decodeLoosely, parseJson } from './encoding.js'
import { show } from './show.js'

/** A token, as far as it can be read. */
export interface Reading {
  readonly header: Part
  /** `undefined` if none of it can be read. */
  readonly payload: Part | undefined
  /** The fault in the form of the token. */
  readonly fault: string | undefined
}

/** The members of a header or a payload. */
export interface Part {
  readonly members: Readonly<Record<string, unknown>>
  /** The text after the last whole member, if the part was cut off. */
  readonly rest?: string
}

/** Reads a token that may be unsigned, encrypted or cut off. Returns `undefined` if its header cannot be read. */
export function readLeniently(token: string): Reading | undefined {
  const parts = token.split('.')
  const [header, payload] = parts.map(readPart)
  return header && { header, payload, fault: faultOf(parts, header, payload) }
}

/** Guesses the kind of a text whose header cannot be read. */
export function guess(text: string): string {
  const parts = text.split('.').length
  if (parts === 5) return ENCRYPTED
  if (parts === 1) return 'it may be an opaque token, such as a refresh token, which only its issuer can read'
  return `it may be an opaque token, or a JWT that was cut off at its beginning: ${COPY}`
}

/** Names the kind of a token by its `typ`. */
export function kindOf(typ: unknown): string {
  if (typ === undefined) return 'a JWT without a type'
  const name = typeof typ === 'string' ? typ.toLowerCase().replace(/^application\//, '') : ''
  return Object.hasOwn(KINDS, name) ? `${KINDS[name]}` : `a token of type ${show(typ)}`
}

/** Token types (RFC 8725 §3.11). */
const KINDS: Readonly<Record<string, string>> = {
  'at+jwt': 'an access token (RFC 9068)',
  jwt: 'a JWT without a specific type, such as an ID token',
  'dpop+jwt': 'a DPoP proof (RFC 9449), not an access token',
  'logout+jwt': 'a logout token (OpenID Connect), not an access token',
  'statuslist+jwt': 'a status list, not an access token',
}

const COPY = 'copy the whole token'
const ENCRYPTED = 'five parts are an encrypted token (JWE), which only its recipient can read; this package does not support JWE'

function faultOf(parts: readonly string[], header: Part, payload: Part | undefined): string | undefined {
  const [, , signature = '', ...others] = parts
  if (header.rest !== undefined) return `the token was cut off in the header, or changed: ${COPY}`
  if (parts.length === 5) return ENCRYPTED
  if (!parts[1]) return `the payload is missing: ${COPY}`
  if (others.length > 0) return `the token has ${parts.length} parts; expected header.payload.signature`
  if (payload === undefined) return 'the payload is no JSON object in base64url'
  if (payload.rest !== undefined) return `the token was cut off in the payload, or changed: ${COPY}`
  if (signature === '') return header.members['alg'] === 'none' ? 'the token is unsigned: its alg is none' : `the signature is missing: ${COPY}`
  return faultOfSignature(decodeLoosely(signature).length, header.members['alg'])
}

function faultOfSignature(length: number, alg: unknown): string | undefined {
  if (typeof alg !== 'string' || !/^[RP]S\d/.test(alg) || [256, 384, 512, 1024].includes(length)) return undefined
  return `the signature has ${length} bytes; expected 256, 384, 512 or 1024, by the size of the key. If it was cut off, ${COPY}`
}

/** A byte order mark is no JSON. */
const decoder = new TextDecoder('utf-8', { ignoreBOM: true })

function readPart(part: string): Part | undefined {
  const text = decoder.decode(decodeLoosely(part))
  const members = readObject(text)
  return members === undefined ? readCutOff(text) : { members }
}

/** Reads the members before the last comma between members, in a JSON object that was cut off. */
function readCutOff(text: string): Part | undefined {
  if (!/^\s*\{\s*"/.test(text)) return undefined
  let [end, depth] = [0, 0]
  for (const { 0: token, index } of text.matchAll(/"(?:[^"\\]|\\.)*(?:"|\\?$)|[{}[\],]/gs)) {
    if (token === '{' || token === '[') depth++
    if (token === '}' || token === ']') depth--
    if (token === ',' && depth === 1) end = index
  }
  const members = readObject(`${text.slice(0, end)}}`)
  return members === undefined ? { members: {}, rest: text.replace(/^\s*\{/, '') } : { members, rest: text.slice(end + 1) }
}

function readObject(text: string): Record<string, unknown> | undefined {
  const value = parseJson(text)
  return isObject(value) && isWithinDepth(value, MAX_DEPTH) ? value : undefined
}

/** As in a verifier. JSON that nests much deeper can be read, but not written. */
const MAX_DEPTH = 64

function isWithinDepth(value: unknown, depth: number): boolean {
  if (typeof value !== 'object' || value === null) return true
  return depth > 0 && Object.values(value).every((member) => isWithinDepth(member, depth - 1))
}
