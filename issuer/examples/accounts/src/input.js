// Checks of the input of requests.
import { Refusal } from './refusal.js'

const MAX_BODY_BYTES = 8 * 1024

/** The issuer's limit on the name of a user. */
const MAX_EMAIL = 128

/**
 * Reads a JSON object with exactly these members, all of them strings.
 *
 * @param {import('node:http').IncomingMessage} request
 * @param {string[]} members
 * @throws {Refusal}
 */
export async function readBody(request, members) {
  // Other types can be sent by the forms of foreign pages.
  if (!/^application\/json(\s*;|$)/i.test(request.headers['content-type'] ?? '')) {
    throw new Refusal(415, 'unsupported_media_type', 'The body must be application/json.')
  }
  const body = parse(await readText(request))
  const names = Object.keys(body)
  if (names.length !== members.length || !members.every((name) => Object.hasOwn(body, name) && typeof body[name] === 'string')) {
    throw new Refusal(400, 'invalid_request', `The body must be a JSON object with the text ${members.join(' and ')}.`)
  }
  return body
}

async function readText(request) {
  const chunks = []
  let size = 0
  for await (const chunk of request) {
    size += chunk.length
    if (size > MAX_BODY_BYTES) throw new Refusal(413, 'content_too_large', `The body must have at most ${MAX_BODY_BYTES} bytes.`, { connection: 'close' })
    chunks.push(chunk)
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(chunks))
  } catch {
    throw new Refusal(400, 'invalid_request', 'The body is not UTF-8.')
  }
}

function parse(text) {
  try {
    return Object(JSON.parse(text))
  } catch {
    throw new Refusal(400, 'invalid_request', 'The body is not JSON.')
  }
}

/** Returns the address without spaces around it. Only a mail can tell if it exists. @throws {Refusal} */
export function checkEmail(text) {
  const email = text.trim()
  // Printable ASCII, so that an address cannot end the header of a mail, and no two addresses look alike.
  if (email.length <= MAX_EMAIL && /^[!-?A-~]+@[a-z0-9-]+(\.[a-z0-9-]+)+$/i.test(email)) return email
  throw new Refusal(400, 'invalid_request', `This is no e-mail address: expected something like name@example.com, with at most ${MAX_EMAIL} characters.`)
}
