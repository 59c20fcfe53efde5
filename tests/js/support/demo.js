import { once } from 'node:events'
import { createDemoServer } from '../../../www/server.js'
import { freePort, startIssuer, USER } from './issuer.js'

export const AUDIENCE = 'api'

/**
 * Starts the real issuer and the demo page for it.
 *
 * @param {{ flags?: string[] }} [options] flags for the issuer
 * @returns {Promise<{ page: string, issuer: object, stop: () => Promise<void> }>} `page` is the demo page's address,
 *   `issuer` the result of `startIssuer`
 */
export async function startDemo({ flags = [] } = {}) {
  const port = await freePort()
  const page = `http://localhost:${port}`
  const issuer = await startIssuer({ corsOrigins: [page], flags })
  try {
    const [keysCommand, planCommand] = ['list', 'plan'].map((name) => issuer.command('keys', name, '--json', ...flags))
    const server = await createDemoServer({ issuer: issuer.url, audience: AUDIENCE, ...USER, keysCommand, planCommand })
    server.listen(port, '127.0.0.1')
    await once(server, 'listening')
    const stop = async () => {
      server.close()
      server.closeAllConnections()
      await issuer.stop()
    }
    return { page, issuer, stop }
  } catch (error) {
    await issuer.stop()
    throw error
  }
}
