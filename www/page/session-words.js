/** Returns what `words` says, or `refused` if the issuer refused the proof of a login. */
export function orRefused(words, refused) {
  return (error) => (error.code === 'login_failed' ? refused : words(error))
}

/** What is said of a passkey that the issuer refused. */
export const UNKNOWN_PASSKEY = 'The issuer does not know this passkey. If you have removed it here, delete it in your device too.'

/**
 * Says in words what became of a session, or of a call to it, and what to do.
 *
 * @param {import('countersign/session').SessionError} error
 * @param {string} issuer its URL
 */
export function wordsFor({ code, retryAfter, message }, issuer) {
  const when = retryAfter === undefined ? 'in a minute' : `in ${retryAfter} s`
  switch (code) {
    case 'login_failed':
      return 'The user name or the password is wrong. The demo user’s are shown below.'
    case 'second_factor_failed':
      return 'The code is wrong, or has been used. Take the one that the app shows now.'
    case 'login_expired':
      return 'That took too long. Log in again.'
    case 'passkey_cancelled':
      return 'No passkey was used.'
    case 'passkey_exists':
      return 'This device has a passkey for this account already.'
    case 'passkey_unavailable':
      return 'This browser cannot use passkeys on this page.'
    case 'too_many_logins':
      return `Too many attempts from here. Try again ${when}.`
    case 'issuer_unavailable':
      if (retryAfter !== undefined) return `The issuer is busy. Try again ${when}.`
      return `The issuer at ${issuer} did not answer. Is it running? Start it with “cargo xtask start”, then try again.`
    case 'session_ended':
      return 'The session is over: the issuer no longer takes its refresh token. Log in again.'
    default:
      return message
  }
}
