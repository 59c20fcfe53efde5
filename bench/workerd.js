// Starts workerd, the runtime of Cloudflare Workers.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import workerd from 'workerd'

/** The options of esbuild for bundles like those of Wrangler. */
export const LIKE_WRANGLER = { conditions: ['workerd', 'worker', 'browser'], loader: { '.wasm': 'copy' } }

/**
 * @typedef {object} Worker
 * @property {string[]} modules in Cap'n Proto's text format, as are bindings and services; the main one first
 * @property {string[]} bindings
 * @property {string[]} [services] other than the Worker
 * @property {string[]} [flags] of workerd
 */

/**
 * Starts a Worker.
 *
 * @param {string} folder has the files that the Worker embeds, and takes its configuration
 * @param {Worker} worker
 * @returns {Promise<{ url: string, close: () => Promise<void> }>}
 */
export async function startWorkerd(folder, worker) {
  await writeFile(join(folder, 'worker.capnp'), configOf(worker))
  const args = ['serve', 'worker.capnp', '--control-fd=3', ...(worker.flags ?? [])]
  const child = spawn(workerd.default, args, { cwd: folder, stdio: ['ignore', 'inherit', 'inherit', 'pipe'] })
  const ended = once(child, 'close')
  const failed = ended.then(() => Promise.reject(new Error('workerd ended')))
  const [line] = await Promise.race([once(createInterface(child.stdio[3]), 'line'), failed])
  return {
    url: `http://127.0.0.1:${JSON.parse(line).port}/`,
    async close() {
      child.kill()
      await ended
    },
  }
}

function configOf({ modules, bindings, services = [] }) {
  const list = (entries) => `[\n    ${entries.join(',\n    ')},\n  ]`
  return `
using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = ${list(['(name = "main", worker = .worker)', ...services])},
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
);

const worker :Workerd.Worker = (
  compatibilityDate = "2025-09-01",
  compatibilityFlags = ["nodejs_compat"],
  modules = ${list(modules)},
  bindings = ${list(bindings)},
);
`
}
