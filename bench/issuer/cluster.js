// One issuer and two on one PostgreSQL database.
import { makeDatabase } from './growth.js'
import { LOGIN, startIssuerOn } from './program.js'

/** @returns {Promise<{ contestants: Record<string, () => Promise<object>>, stop: () => Promise<void> }>} */
export async function startCluster({ tools, postgres }) {
  await postgres.create('cluster')
  const flags = postgres.flags('cluster')
  const client = await makeDatabase(flags)
  const issuers = []
  const stop = async () => void (await Promise.all(issuers.map((issuer) => issuer.stop())))
  try {
    for (let count = 0; count < 2; count++) issuers.push(await startIssuerOn(flags))
  } catch (error) {
    await stop()
    throw error
  }
  const urls = issuers.map(({ url }) => url)
  const ask = (kind, urls, flags) => () => tools.load(kind, urls, { flags })
  return {
    contestants: {
      'tokens for clients, PostgreSQL': ask('clients', urls.slice(0, 1), client),
      'tokens for clients, PostgreSQL, two issuers': ask('clients', urls, client),
      'refreshes, PostgreSQL': ask('refreshes', urls.slice(0, 1), LOGIN),
      'refreshes, PostgreSQL, two issuers': ask('refreshes', urls, LOGIN),
    },
    stop,
  }
}
