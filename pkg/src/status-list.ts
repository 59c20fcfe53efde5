import { isObject, LATEST_SECOND } from './options.js'
import type { JwtPayload } from './types.js'

// The format of draft-ietf-oauth-status-list. The Rust crate reads it in the same way: `tests/status_lists.json` holds both.

/** The status index of a token (§6.2). */
export interface StatusReference {
  readonly idx: number
  /** The URL of the list. */
  readonly uri: string
}

/** The statuses of many tokens (§5.1). */
export interface StatusList {
  readonly iss: string | undefined
  /** Infinite if it is missing. */
  readonly exp: number
  /** The time after which a fresh copy should be fetched: seconds. */
  readonly ttl: number | undefined
  /** The number of bits of a status: 1, 2, 4 or 8. */
  readonly bits: number
  readonly bytes: Uint8Array
}

/** A list holds at most 16,777,216 statuses of one bit. */
const MAX_BYTES = 2 * 1024 * 1024

/**
 * Reads the claim `status`. Returns `undefined` for a token without it, or with other mechanisms alone, and `null` if it is
 * malformed.
 */
export function readReference({ status }: JwtPayload): StatusReference | null | undefined {
  if (status === undefined) return undefined
  if (!isObject(status)) return null
  const { status_list: reference } = status
  if (reference === undefined) return undefined
  const { idx, uri } = Object(reference) as Record<string, unknown>
  return isWhole(idx) && typeof uri === 'string' ? { idx, uri } : null
}

/**
 * Reads the claims of a list whose signature was good, and inflates the list.
 *
 * @throws Error - The fault, in words that follow "the status list".
 */
export async function readList(
  claims: Readonly<Record<string, unknown>>,
  uri: string,
  tolerance: number,
  now: number,
): Promise<StatusList> {
  const { sub, iss, iat, exp, nbf, ttl, status_list: list } = claims
  require(sub === uri, 'has another sub than its URL')
  require(iss === undefined || typeof iss === 'string', 'has an iss that is no string')
  require(isDate(iat), 'has no iat that is a time')
  require(exp === undefined || isDate(exp), 'has an exp that is no time')
  require(nbf === undefined || isDate(nbf), 'has an nbf that is no time')
  require(ttl === undefined || (typeof ttl === 'number' && ttl > 0), 'has a ttl that is no number of seconds above 0')
  require(exp === undefined || now < exp + tolerance, 'has expired')
  require(nbf === undefined || nbf <= now + tolerance, 'is not valid yet')
  const { bits, lst } = Object(list) as Record<string, unknown>
  require(typeof bits === 'number' && [1, 2, 4, 8].includes(bits), 'has no bits that are 1, 2, 4 or 8')
  require(typeof lst === 'string', 'has no lst that is a string')
  return { iss, exp: exp ?? Infinity, ttl, bits, bytes: await inflate(decode(lst)) }
}

/** Returns the status at an index, or `undefined` beyond the end of the list. */
export function statusAt({ bits, bytes }: StatusList, idx: number): number | undefined {
  const perByte = 8 / bits
  const byte = bytes[Math.floor(idx / perByte)]
  return byte === undefined ? undefined : (byte >> ((idx % perByte) * bits)) & (255 >> (8 - bits))
}

function require(isRight: boolean, fault: string): asserts isRight {
  if (!isRight) throw new Error(fault)
}

function isWhole(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

function isDate(value: unknown): value is number {
  return typeof value === 'number' && (value > 0 || Object.is(value, 0)) && value <= LATEST_SECOND
}

/** Decodes base64url, of which it accepts one spelling only (RFC 4648 §3.5): `atob` also accepts others. */
function decode(text: string): Uint8Array<ArrayBuffer> {
  const base64 = text.replaceAll('-', '+').replaceAll('_', '/')
  try {
    const binary = atob(base64)
    const isStrict = !/[+/]/.test(text) && btoa(binary).replaceAll('=', '') === base64
    if (isStrict) return Uint8Array.from(binary, (byte) => byte.charCodeAt(0))
  } catch {
    // Reported below.
  }
  throw new Error('has an lst that is not base64url')
}

/** Inflates zlib. Checks its end too: Deno accepts data that is cut off, and Node.js 20 data with more after it. */
async function inflate(compressed: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
  const bytes = await decompress(compressed)
  const end = compressed.subarray(-4)
  if (end.length < 4 || new DataView(end.buffer, end.byteOffset).getUint32(0) !== adler32(bytes)) throw new Error(NOT_ZLIB)
  return bytes
}

const NOT_ZLIB = 'has an lst that is not zlib'

/** Returns the checksum at the end of zlib data (RFC 1950 §8.2). */
function adler32(bytes: Uint8Array): number {
  let [a, b] = [1, 0]
  for (const byte of bytes) {
    a = (a + byte) % 65521
    b = (b + a) % 65521
  }
  return b * 65536 + a
}

async function decompress(compressed: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
  const reader = new Blob([compressed]).stream().pipeThrough(new DecompressionStream('deflate')).getReader()
  const chunks: Uint8Array[] = []
  let size = 0
  for (;;) {
    const { done, value } = await reader.read().catch(() => {
      throw new Error(NOT_ZLIB)
    })
    if (done) return join(chunks, size)
    chunks.push(value)
    size += value.byteLength
    if (size > MAX_BYTES) {
      reader.cancel().catch(() => {})
      throw new Error('is more than 2 MiB, inflated')
    }
  }
}

function join(chunks: readonly Uint8Array[], size: number): Uint8Array {
  const bytes = new Uint8Array(size)
  let at = 0
  for (const chunk of chunks) {
    bytes.set(chunk, at)
    at += chunk.byteLength
  }
  return bytes
}
