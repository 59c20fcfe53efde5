const LOOPBACK = ['localhost', '127.0.0.1', '[::1]']

/**
 * Reads the settings from the environment.
 *
 * @param {Record<string, string | undefined>} environment
 * @throws {Error} naming the variable that is missing or wrong
 */
export function readSettings(environment) {
  const text = (name, value = environment[name]) => {
    if (value === undefined || value === '') throw new Error(`${name} is not set: see README.md`)
    return value
  }
  const url = (name, standard) => {
    const value = text(name, environment[name] || standard)
    if (!URL.canParse(value) || !/^https?:$/.test(new URL(value).protocol)) throw new Error(`${name} is no http or https URL`)
    return value.replace(/\/$/, '')
  }
  const origin = url('ORIGIN', 'http://localhost:3000')
  const { protocol, hostname, port } = new URL(origin)
  if (new URL(origin).origin !== origin) throw new Error('ORIGIN has a path: expected an origin such as https://app.example')
  if (!LOOPBACK.includes(hostname)) {
    throw new Error('src/mailbox.js shows every mail to everybody, so ORIGIN must be on this machine: send the mails, then remove this check')
  }
  const issuer = url('ISSUER')
  return {
    origin,
    issuer,
    adminApi: url('ADMIN_API', issuer),
    audience: environment.AUDIENCE || 'api',
    clientId: text('CLIENT_ID'),
    clientSecret: text('CLIENT_SECRET'),
    host: environment.HOST || '127.0.0.1',
    port: Number(environment.PORT || port || (protocol === 'https:' ? 443 : 80)),
  }
}
