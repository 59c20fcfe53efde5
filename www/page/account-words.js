import { AccountError } from './account-requests.js'
import { wordsFor } from './session-words.js'

/** Says in words why a change of the account failed, and what to do. */
export function accountWords(issuer) {
  return (error) => {
    if (!(error instanceof AccountError)) return error.code === undefined ? error.message : wordsFor(error, issuer)
    const { code, description, retryAfter, message } = error
    switch (code) {
      case 'too_many_requests':
        return `Too many attempts. Try again ${retryAfter === undefined ? 'in a minute' : `in ${retryAfter} s`}.`
      case 'not_found':
        return 'It is not there any more. Load the page again.'
      case 'invalid_grant':
        return 'The current password is wrong.'
      case 'password_refused':
      case 'conflict':
      case 'invalid_request':
        return description === undefined ? message : sentence(description)
      default:
        return message
    }
  }
}

function sentence(text) {
  return `${text[0].toUpperCase()}${text.slice(1)}${/[.!]$/.test(text) ? '' : '.'}`
}
