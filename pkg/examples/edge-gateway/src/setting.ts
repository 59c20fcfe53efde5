/** A setting that is missing or wrong. Every request is then answered with 500. */
export class SettingError extends Error {}

/** Makes the error. The message does not hold the value, which may be a secret. */
export function refuseSetting(name: string, expected: string): SettingError {
  return new SettingError(`the setting ${name} is missing or wrong: expected ${expected}`)
}

/** Returns an object. Refuses members that are not in the list, if there is one: a misspelt name would leave out a check. */
export function readObject(value: unknown, name: string, members?: readonly string[]): Record<string, unknown> {
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value)
  if (!isObject || !Object.keys(value).every((member) => members?.includes(member) ?? true)) {
    throw refuseSetting(name, `an object${members === undefined ? '' : ` with no members but ${members.join(', ')}`}`)
  }
  return value as Record<string, unknown>
}

/** Returns an array of strings that each match. */
export function readTexts(value: unknown, name: string, form: RegExp, expected: string): string[] {
  const isText = (text: unknown) => typeof text === 'string' && form.test(text)
  if (!Array.isArray(value) || value.length === 0 || !value.every(isText)) {
    throw refuseSetting(name, `an array of ${expected}`)
  }
  return value
}

/** Returns an origin: https, or http to this machine, without a path. */
export function readOrigin(value: unknown, name: string): string {
  const url = typeof value === 'string' && URL.canParse(value) ? new URL(value) : undefined
  const isSafe = url?.protocol === 'https:' || (url?.protocol === 'http:' && LOOPBACK.test(url.hostname))
  if (url === undefined || !isSafe || url.origin !== value) {
    throw refuseSetting(name, 'an origin such as https://origin.example, without a path and without a / at the end')
  }
  return url.origin
}

const LOOPBACK = /^(?:localhost|127\.\d+\.\d+\.\d+|\[::1\])$/
