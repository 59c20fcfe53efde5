import { show, type Output } from './terminal.js'

/** What the registered header parameters and claims are (RFC 7515 §4.1, RFC 7519 §4.1, RFC 9068 §2.2). */
const MEANINGS: Readonly<Record<string, string>> = {
  alg: 'how it is signed',
  typ: 'what kind of token it is',
  kid: "the key's name",
  iss: 'who issued it',
  aud: 'whom it is for',
  sub: 'whom it is about',
  client_id: 'which client asked for it',
  scope: 'what it allows',
  exp: 'when it expires',
  nbf: 'from when on it is valid',
  iat: 'when it was issued',
  jti: 'its number',
  sid: 'its session',
}

/** Prints the members of a header or a payload, each with its meaning where there is a registered one, and its value. */
export function printMembers(output: Output, members: Readonly<Record<string, unknown>>): void {
  output.table(Object.entries(members).map(([name, value]) => {
    return [show(name), Object.hasOwn(MEANINGS, name) ? `${MEANINGS[name]}` : '', show(value)]
  }))
}
