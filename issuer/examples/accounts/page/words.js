/** A problem that is told in these words. */
export class Problem extends Error {}

/** A sentence for each code of `countersign/session`, of the issuer, and of this application's own API. */
const WORDS = {
  login_failed: 'The e-mail address or the password is wrong.',
  too_many_logins: 'That was too often. Please wait a little, and try again.',
  too_many_requests: 'That was too often. Please wait a little, and try again.',
  login_expired: 'That took too long. Please start again.',
  second_factor_failed: 'That was wrong, or it was used before. Please try the next one.',
  passkey_cancelled: 'No passkey was used.',
  passkey_unavailable: 'Passkeys do not work here.',
  offline: 'You are offline. Please try again when you are online.',
  issuer_unavailable: 'The service does not answer. Please try again in a minute.',
  temporarily_unavailable: 'The service does not answer. Please try again in a minute.',
  session_ended: 'Your session has ended. Please log in again.',
  not_logged_in: 'Please log in.',
  invalid_token: 'Your session has ended. Please log in again.',
}

/** Codes whose descriptions are written for people. */
const DESCRIBED = ['invalid_request', 'password_refused', 'conflict']

/** Returns the reason of an error in words for people. */
export function inWords(error) {
  if (error instanceof Problem) return error.message
  if (Object.hasOwn(WORDS, error.code ?? '')) return WORDS[error.code]
  if (DESCRIBED.includes(error.code)) return sentence(error.message)
  console.error(error)
  return 'Something went wrong. Please try again.'
}

function sentence(text) {
  return `${text[0].toUpperCase()}${text.slice(1)}${text.endsWith('.') ? '' : '.'}`
}
