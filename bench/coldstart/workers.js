// Cold starts in workerd: each turn is a new isolate. The time is that of the request that starts it, because the clock of a
// Worker shows whole milliseconds.
import { copyFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { LIKE_WRANGLER, startWorkerd } from '../workerd.js'
import { bundle } from './bundle.js'

const CONTESTANTS = ['countersign', 'jose', 'nothing']

// Workers that start other ones are an experiment of workerd.
const LOADER = {
  flags: ['--experimental'],
  modules: ['(name = "loader.js", esModule = embed "loader.js")'],
  bindings: [
    '(name = "LOADER", workerLoader = ())',
    '(name = "wasm", data = embed "countersign/countersign.relaxed.wasm")',
    ...CONTESTANTS.map((name) => `(name = "${name}", text = embed "${name}/main.js")`),
  ],
}

/** @type {import('../coldstart.js').Open} */
export async function openWorkers(_, task, folder) {
  const options = { ...LIKE_WRANGLER, assetNames: '[name]' }
  for (const name of CONTESTANTS) await bundle('worker.js', { contestant: `${name}.js`, task, outdir: join(folder, name) }, options)
  await copyFile(fileURLToPath(new URL('loader.js', import.meta.url)), join(folder, 'loader.js'))
  const { url, close } = await startWorkerd(folder, LOADER)
  return {
    async take(contestant) {
      const start = performance.now()
      const response = await fetch(`${url}${contestant}`)
      const text = await response.text()
      const isolate = performance.now() - start
      if (text !== 'done') throw new Error(`${contestant} failed: ${text}`)
      return { 'from the start of the isolate': isolate }
    },
    close,
  }
}
