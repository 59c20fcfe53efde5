// Cold starts in workerd: each turn is a new isolate. Its clock stands still while a script runs, so the time is that of the
// request that starts it.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import workerd from 'workerd'
import { bundle } from './bundle.js'

const CONTESTANTS = ['countersign', 'jose', 'nothing']

const LIKE_WRANGLER = { conditions: ['workerd', 'worker', 'browser'], loader: { '.wasm': 'copy' }, assetNames: '[name]' }

// Workers that start other ones are an experiment of workerd.
const CONFIG = `
using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [(name = "main", worker = .loader)],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
);

const loader :Workerd.Worker = (
  compatibilityDate = "2025-09-01",
  modules = [(name = "loader.js", esModule = embed "loader.js")],
  bindings = [
    (name = "LOADER", workerLoader = ()),
    (name = "wasm", data = embed "countersign/countersign.relaxed.wasm"),
    ${CONTESTANTS.map((name) => `(name = "${name}", text = embed "${name}/main.js")`).join(',\n    ')},
  ],
);
`

/** @type {import('../coldstart.js').Open} */
export async function openWorkers(_, task, folder) {
  for (const name of CONTESTANTS) await bundle('worker.js', { contestant: `${name}.js`, task, outdir: join(folder, name) }, LIKE_WRANGLER)
  await copyFile(fileURLToPath(new URL('loader.js', import.meta.url)), join(folder, 'loader.js'))
  await writeFile(join(folder, 'workers.capnp'), CONFIG)

  const child = spawn(workerd.default, ['serve', 'workers.capnp', '--experimental', '--control-fd=3'], { cwd: folder, stdio: ['ignore', 'inherit', 'inherit', 'pipe'] })
  const ended = once(child, 'close')
  const [line] = await Promise.race([once(createInterface(child.stdio[3]), 'line'), ended.then(() => Promise.reject(new Error('workerd ended')))])
  const { port } = JSON.parse(line)
  return {
    async take(contestant) {
      const start = performance.now()
      const response = await fetch(`http://127.0.0.1:${port}/${contestant}`)
      const text = await response.text()
      const isolate = performance.now() - start
      if (text !== 'done') throw new Error(`${contestant} failed: ${text}`)
      return { 'from the start of the isolate': isolate }
    },
    async close() {
      child.kill()
      await ended
    },
  }
}
