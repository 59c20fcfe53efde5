/**
 * Checks the content of a demo file and returns its known members.
 *
 * @param {unknown} demo `{ issuer, audience, username, password, keysCommand, planCommand }`: the issuer's http(s) URL, the
 *   audience its tokens are for, the demo user, and the commands (program, then arguments) that list and plan the keys as JSON
 * @throws {Error} naming the member that is missing or wrong
 */
export function parseDemo(demo) {
  if (typeof demo !== 'object' || demo === null || Array.isArray(demo)) throw new Error('the demo file must hold one JSON object')
  const { issuer, audience, username, password, keysCommand, planCommand } = demo
  for (const [name, value] of Object.entries({ issuer, audience, username, password })) {
    if (typeof value !== 'string' || value === '') throw new Error(`the demo file's "${name}" must be a string that is not empty`)
  }
  // The issuer's origin goes into a Content-Security-Policy.
  if (!/^https?:$/.test(protocolOf(issuer))) {
    throw new Error('the demo file\'s "issuer" must be an http or https URL')
  }
  for (const [name, value] of Object.entries({ keysCommand, planCommand })) {
    if (!Array.isArray(value) || value.length === 0 || !value.every((part) => typeof part === 'string')) {
      throw new Error(`the demo file's "${name}" must be a list of strings: the program and its arguments`)
    }
  }
  return { issuer, audience, username, password, keysCommand, planCommand }
}

function protocolOf(text) {
  try {
    return new URL(text).protocol
  } catch {
    return ''
  }
}
