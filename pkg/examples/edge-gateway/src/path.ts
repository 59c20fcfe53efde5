import { Refusal } from './refusal.js'

/** The path of a request, as the strictest and as the most lenient servers read it. Both must lead to the same route. */
export interface Path {
  /** The normal form (RFC 3986 §6.2.2), which is forwarded. */
  readonly exact: string
  /**
   * Also without case, encodings, all after an encoded `?` or `#`, parameters after `;`, empty segments, spaces around a
   * segment and dots after it.
   */
  readonly lenient: string
}

/**
 * Reads the `pathname` of a `URL`, which has resolved dot segments, `%2e%2e` too.
 *
 * @throws {@link Refusal} - `path_invalid` if servers may read a dot segment, or something else again after decoding it.
 */
export function readPath(pathname: string): Path {
  const exact = pathname.replace(/%([0-9a-f]{2})/gi, decodeUnreserved).replace(/\/{2,}/g, '/')
  const lenient = readLeniently(exact)
  if (lenient === undefined) {
    const message = 'expected a path in UTF-8, without control characters, hidden dot segments and double encoding'
    throw new Refusal(400, 'path_invalid', message)
  }
  return { exact, lenient }
}

/** Returns the lenient reading, or `undefined` if there are several. */
export function readLeniently(path: string): string | undefined {
  if (PLAIN.test(path)) return path
  const decoded = decode(path)
  if (decoded === undefined || /[\0-\x1f\x7f]|%[0-9a-f]{2}/i.test(decoded)) return undefined
  const segments = segmentsOf(decoded.replace(/[?#].*/s, ''))
  if ([...segmentsOf(decoded), ...segments].some(isDots)) return undefined
  return `/${segments.map(trim).filter(Boolean).join('/')}`
}

/** Most paths have nothing that servers read in different ways. */
const PLAIN = /^(?:\/[a-z0-9_-]+)+$/

function segmentsOf(path: string): string[] {
  return path.split(/[/\\]/).map((segment) => segment.replace(/;.*/s, ''))
}

function isDots(segment: string): boolean {
  return segment.includes('.') && !/[^. ]/.test(segment)
}

/** The lookbehind makes it linear: without it, the end is looked for from each dot. */
function trim(segment: string): string {
  return segment.replace(/^ +|(?<![. ])[. ]+$/g, '')
}

function decodeUnreserved(encoded: string, hex: string): string {
  const character = String.fromCharCode(parseInt(hex, 16))
  return /[\w.~-]/.test(character) ? character : encoded.toUpperCase()
}

/** Some servers take full-width characters for the usual ones, and some compare `İ` and `ı` with `i`. */
function decode(path: string): string | undefined {
  try {
    return decodeURIComponent(path).normalize('NFKC').toUpperCase().toLowerCase().replaceAll('i\u0307', 'i')
  } catch {
    return undefined
  }
}
