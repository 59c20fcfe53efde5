// The application: `npm start`, with the settings of README.md in the environment.
import { realpathSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { createVerifier } from 'countersign'
import { statusList } from 'countersign/status'
import { createAccounts } from './src/accounts.js'
import { createAdminApi } from './src/admin-api.js'
import { createApp } from './src/app.js'
import { createMailbox } from './src/mailbox.js'
import { readSettings } from './src/settings.js'

/**
 * Starts the application.
 *
 * @param {Record<string, string | undefined>} environment
 * @returns {Promise<import('node:http').Server>} the server, which listens
 */
export async function start(environment) {
  const settings = readSettings(environment)
  const { issuer, audience } = settings
  const mailbox = createMailbox()
  const accounts = createAccounts({ admin: createAdminApi(settings), mailbox, origin: settings.origin })
  // With status lists, the tokens of a session that was ended are refused after a minute.
  const verifier = await createVerifier({ issuer, audience, jwks: `${issuer}/.well-known/jwks.json`, status: statusList() })
  const server = await createApp({ settings, accounts, mailbox, verifier })
  await new Promise((resolve, reject) => {
    server.once('error', (error) => reject(new Error(`cannot listen on ${settings.host}:${settings.port} (${error.code}): set another ORIGIN or PORT`)))
    server.listen(settings.port, settings.host, resolve)
  })
  return server
}

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  try {
    const server = await start(process.env)
    console.log(`accounts at ${process.env.ORIGIN ?? 'http://localhost:3000'}`)
    for (const signal of ['SIGINT', 'SIGTERM']) {
      process.once(signal, () => {
        server.close()
        server.closeAllConnections()
      })
    }
  } catch (error) {
    console.error(`accounts: ${error.message}`)
    process.exitCode = 1
  }
}
