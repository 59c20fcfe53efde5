import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buildSite } from '../../../www/build.js'
import { typeOf } from '../../../www/site.js'

/**
 * Builds the site without an issuer, and serves it as any host of static files does.
 *
 * @param {Record<string, (request: import('node:http').IncomingMessage) => Promise<string>>} [routes] more answers, by their
 *   paths; HTML
 * @returns {Promise<{ page: string, stop: () => Promise<void> }>} `page` is the address of the site
 */
export async function startStaticSite(routes = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'countersign-site-'))
  const known = new Set(await buildSite(folder))
  const server = createServer(async (request, response) => {
    const { pathname } = new URL(request.url, 'http://site.invalid')
    const path = pathname.slice(1).replace(/(^|\/)$/, '$1index.html')
    if (Object.hasOwn(routes, pathname)) response.writeHead(200, { 'content-type': 'text/html' }).end(await routes[pathname](request))
    else if (known.has(path)) response.writeHead(200, { 'content-type': typeOf(path) }).end(await readFile(join(folder, path)))
    else response.writeHead(404).end()
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const stop = async () => {
    server.close()
    server.closeAllConnections()
    await rm(folder, { recursive: true })
  }
  return { page: `http://127.0.0.1:${server.address().port}`, stop }
}
