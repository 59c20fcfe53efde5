import { dateTime } from './time.js'

/** The header parameters and claims that specifications register: meaning, specification and section. */
const HEADER = {
  alg: ['algorithm of the signature', 'RFC 7515', '4.1.1'],
  jku: ['URL of a key set. Ignored: a token must not choose its own keys', 'RFC 7515', '4.1.2'],
  jwk: ['a key. Ignored: a token must not choose its own key', 'RFC 7515', '4.1.3'],
  kid: ['name of the key that signed it', 'RFC 7515', '4.1.4'],
  x5u: ['URL of a certificate. Ignored: a token must not choose its own key', 'RFC 7515', '4.1.5'],
  x5c: ['certificate chain. Ignored: a token must not choose its own key', 'RFC 7515', '4.1.6'],
  x5t: ['SHA-1 thumbprint of a certificate. Ignored', 'RFC 7515', '4.1.7'],
  'x5t#S256': ['SHA-256 thumbprint of a certificate. Ignored', 'RFC 7515', '4.1.8'],
  typ: ['type of the token', 'RFC 7515', '4.1.9'],
  cty: ['type of the content', 'RFC 7515', '4.1.10'],
  crit: ['extensions that a verifier must understand. None is supported', 'RFC 7515', '4.1.11'],
  b64: ['says if the payload is in base64url. Not supported', 'RFC 7797', '3'],
  enc: ['algorithm of the encryption', 'RFC 7516', '4.1.2'],
  zip: ['compression of an encrypted token', 'RFC 7516', '4.1.3'],
}
const PAYLOAD = {
  iss: ['issuer', 'RFC 7519', '4.1.1'],
  sub: ['subject: whom the token is about', 'RFC 7519', '4.1.2'],
  aud: ['audience: the services that may accept it', 'RFC 7519', '4.1.3'],
  exp: ['expires at', 'RFC 7519', '4.1.4'],
  nbf: ['not valid before', 'RFC 7519', '4.1.5'],
  iat: ['issued at', 'RFC 7519', '4.1.6'],
  jti: ['ID of this token', 'RFC 7519', '4.1.7'],
  client_id: ['client that asked for it', 'RFC 8693', '4.3'],
  scope: ['permissions', 'RFC 8693', '4.2'],
  act: ['who acts for the subject', 'RFC 8693', '4.1'],
  may_act: ['who may act for the subject', 'RFC 8693', '4.4'],
  auth_time: ['time of the authentication', 'RFC 9068', '2.2.1'],
  acr: ['class of the authentication', 'RFC 9068', '2.2.1'],
  amr: ['methods of the authentication', 'RFC 9068', '2.2.1'],
  roles: ['roles', 'RFC 9068', '2.2.3.1'],
  groups: ['groups', 'RFC 9068', '2.2.3.1'],
  entitlements: ['entitlements', 'RFC 9068', '2.2.3.1'],
  cnf: ['key that the sender must prove to have, which is not checked here', 'RFC 7800', '3.1'],
  authorization_details: ['permissions in detail', 'RFC 9396', '9.1'],
  events: ['events that this token reports', 'RFC 8417', '2.2'],
  azp: ['client that it was issued to', 'OpenID Connect Core', '2'],
  nonce: ['value of the login request', 'OpenID Connect Core', '2'],
  at_hash: ['hash of an access token, in an ID token', 'OpenID Connect Core', '3.1.3.6'],
  c_hash: ['hash of a code, in an ID token', 'OpenID Connect Core', '3.3.2.11'],
  name: ['full name', 'OpenID Connect Core', '5.1'],
  given_name: ['given name', 'OpenID Connect Core', '5.1'],
  family_name: ['family name', 'OpenID Connect Core', '5.1'],
  preferred_username: ['user name, which may change', 'OpenID Connect Core', '5.1'],
  email: ['e-mail address', 'OpenID Connect Core', '5.1'],
  email_verified: ['says if the address was verified', 'OpenID Connect Core', '5.1'],
  updated_at: ['time of the last change of these facts', 'OpenID Connect Core', '5.1'],
  sid: ['session', 'OpenID Connect Front-Channel Logout', '3'],
  status: ['place in a list that says if it was revoked', 'Token Status List', ''],
}

/** Claims of widespread issuers, which no specification registers. */
const COMMON = {
  scp: 'permissions, at Microsoft and Okta',
  tid: 'tenant, at Microsoft',
  oid: 'user or application, at Microsoft',
  appid: 'client, at Microsoft',
  ver: 'version of the token format, at Microsoft and Okta',
  uid: 'user, at Okta',
  cid: 'client, at Okta',
  permissions: 'permissions, at Auth0',
  token_use: 'kind of the token, at Amazon Cognito',
  'cognito:groups': 'groups, at Amazon Cognito',
  realm_access: 'roles, at Keycloak',
  resource_access: 'roles by client, at Keycloak',
  session_state: 'session, at Keycloak',
}

const OTHER_SPECIFICATIONS = {
  'OpenID Connect Core': 'https://openid.net/specs/openid-connect-core-1_0.html',
  'OpenID Connect Front-Channel Logout': 'https://openid.net/specs/openid-connect-frontchannel-1_0.html',
  'Token Status List': 'https://datatracker.ietf.org/doc/draft-ietf-oauth-status-list/',
}

/**
 * Says what a header parameter or a claim means.
 *
 * @param {'header' | 'payload'} part
 * @param {string} name
 * @returns {{ meaning: string, source?: string, url?: string }} `source` and `url` name the section that registers it
 */
export function meaningOf(part, name) {
  const table = part === 'header' ? HEADER : PAYLOAD
  if (Object.hasOwn(table, name)) {
    const [meaning, specification, section] = table[name]
    return { meaning, source: section === '' ? specification : `${specification} §${section}`, url: urlOf(specification, section) }
  }
  if (part === 'payload' && Object.hasOwn(COMMON, name)) return { meaning: `${COMMON[name]}. Not registered` }
  return { meaning: part === 'header' ? 'not registered: verifiers ignore it' : 'not registered: its meaning is up to the issuer' }
}

/**
 * Says more about a value: the date of a time, the consequence of an algorithm.
 *
 * @param {'header' | 'payload'} part
 * @param {string} name
 * @param {unknown} value
 * @param {{ now: number, relative: (seconds: number) => string }} clock `relative` formats a distance in time
 * @returns {string | undefined}
 */
export function noteOn(part, name, value, clock) {
  if (part === 'header') return name === 'alg' ? noteOnAlgorithm(value) : undefined
  if (TIMES.includes(name)) return noteOnTime(name, value, clock)
  if (name === 'aud' && Array.isArray(value)) return `${value.length} audiences: one of them is enough`
  if (name === 'scope' && typeof value === 'string') return count(value.split(' ').filter(Boolean).length, 'scope')
  return undefined
}

const TIMES = ['exp', 'nbf', 'iat', 'auth_time', 'updated_at']

/** The year 5138 in seconds, but March 1973 in milliseconds: a later time counts milliseconds. */
const LATEST_SECOND = 1e11

function noteOnTime(name, value, { now, relative }) {
  if (typeof value !== 'number') return 'no number: expected seconds since 1970'
  if (value > LATEST_SECOND) return 'milliseconds: expected seconds since 1970'
  return `${dateTime(value)}, ${relative(value - now)}${judge(name, value, now)}`
}

function judge(name, value, now) {
  if (name === 'exp') return value > now ? ': not expired' : ': expired'
  if (name === 'nbf' && value > now) return ': not valid yet'
  if (name === 'iat' && value > now) return ': in the future, which is refused'
  return ''
}

function noteOnAlgorithm(alg) {
  if (alg === 'RS256') return 'RSA with SHA-256: the only algorithm that this verifier accepts'
  if (alg === 'none') return 'no signature at all: refused'
  if (/^HS\d/.test(alg)) return 'a secret that verifiers share: refused'
  return 'refused: only RS256 is accepted'
}

function count(number, noun) {
  return `${number} ${noun}${number === 1 ? '' : 's'}`
}

function urlOf(specification, section) {
  const base = OTHER_SPECIFICATIONS[specification] ?? `https://www.rfc-editor.org/rfc/rfc${specification.slice(4)}`
  return specification.startsWith('RFC') ? `${base}#section-${section}` : base
}
