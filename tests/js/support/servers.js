import { Server } from 'node:net'
import { freePort } from './issuer.js'

const servers = new Set()
const { listen } = Server.prototype

/** Records the servers that start in this process from now on, so that `stopServers` can stop them. */
export function recordServers() {
  Server.prototype.listen = function (...args) {
    servers.add(this)
    return listen.apply(this, args)
  }
}

export function stopServers() {
  for (const server of servers) {
    server.closeAllConnections?.()
    server.close()
  }
}

/** Imports a program that listens on the port in `PORT`. Returns the URL of its server. */
export async function startProgram(url) {
  process.env.PORT = String(await freePort())
  await import(url)
  return `http://localhost:${process.env.PORT}`
}
