// The command that runs the system: a signal ends it with everything that it has started.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const SOAK = fileURLToPath(new URL('soak.js', import.meta.url))

for (const signal of ['SIGINT', 'SIGTERM']) {
  test(`after ${signal} nothing of the system runs, and no folder is left`, async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'countersign-soak-'))
    t.after(() => rm(folder, { recursive: true }))
    // PostgreSQL may run as another user, who removes its folder.
    await chmod(folder, 0o1777)
    const env = { ...process.env, TMPDIR: folder }
    const run = spawn(process.execPath, [SOAK, '--minutes', '10', '--seed', '1'], { env, stdio: ['ignore', 'pipe', 'inherit'] })
    const exited = once(run, 'exit')
    for await (const line of createInterface({ input: run.stdout })) {
      t.diagnostic(line)
      // The first fault: then everything runs.
      if (/ core: /.test(line)) run.kill(signal)
    }
    const [code] = await exited
    assert.equal(code, 0)
    assert.deepEqual(await processesWith(`TMPDIR=${folder}`), [])
    // Wrangler keeps the time of its last look for a new version.
    assert.deepEqual((await readdir(folder)).filter((name) => name !== 'update-check'), [])
  })
}

/** Returns the command lines of the processes that have this variable. */
async function processesWith(variable) {
  const ids = (await readdir('/proc')).filter((id) => /^\d+$/.test(id))
  const read = (id, name) => readFile(`/proc/${id}/${name}`, 'utf8').catch(() => '')
  const found = []
  for (const id of ids) {
    if ((await read(id, 'environ')).split('\0').includes(variable)) found.push((await read(id, 'cmdline')).replaceAll('\0', ' '))
  }
  return found
}
