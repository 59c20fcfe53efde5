import { show } from './show.js'
import type { Output } from './terminal.js'

/** The registered header parameters and claims (RFC 7515 §4.1, RFC 7519 §4.1, RFC 9068 §2.2). */
const MEANINGS: Readonly<Record<string, string>> = {
  alg: 'algorithm',
  typ: 'token type',
  kid: 'key name',
  iss: 'issuer',
  aud: 'audience',
  sub: 'subject',
  client_id: 'client',
  scope: 'scope',
  exp: 'expires at',
  nbf: 'valid from',
  iat: 'issued at',
  jti: 'token ID',
  sid: 'session ID',
}

/** Prints the members of a header or a payload. Registered ones have their meaning beside the name. */
export function printMembers(output: Output, members: Readonly<Record<string, unknown>>): void {
  output.table(Object.entries(members).map(([name, value]) => {
    return [show(name), Object.hasOwn(MEANINGS, name) ? `${MEANINGS[name]}` : '', show(value)]
  }))
}
