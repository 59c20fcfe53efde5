import { parseJson } from './encoding.js'
import { UsageError } from './usage-error.js'

/** Reads texts such as `client_id=web`. The values of one name are alternatives. */
export function readClaims(texts: readonly string[]): Record<string, unknown[]> {
  const claims = new Map<string, unknown[]>()
  for (const text of texts) {
    const equals = text.indexOf('=')
    if (equals < 1) throw new UsageError('--claim is not NAME=VALUE: expected a claim with its value, such as client_id=web')
    const name = text.slice(0, equals)
    claims.set(name, [claims.get(name) ?? [], readValue(text.slice(equals + 1))].flat())
  }
  return Object.fromEntries(claims)
}

/** Reads JSON, or else a string. Digits that no number holds exactly, such as a long ID, are a string. */
function readValue(text: string): unknown {
  const value = parseJson(text)
  return value === undefined || (typeof value === 'number' && String(value) !== text) ? text : value
}
