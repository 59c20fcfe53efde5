// Cold starts in Node.js, Deno and Bun: each turn is a process.
import { spawnSync } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { commandOf } from '../../tests/runtimes/runtimes.js'

const SCRIPT = fileURLToPath(new URL('process.js', import.meta.url))

/** @type {import('../coldstart.js').Open} */
export async function openProcesses(name, task, folder) {
  const [program, ...args] = await commandOf(name)
  const path = join(folder, 'task.json')
  await writeFile(path, JSON.stringify(task))
  return {
    async take(contestant) {
      const start = performance.now()
      const { status, stdout, stderr } = spawnSync(program, [...args, SCRIPT, contestant, path], { encoding: 'utf8' })
      const process = performance.now() - start
      if (status !== 0) throw new Error(`${contestant} failed: ${stderr.trim().split('\n')[0]}`)
      return { 'from the start of the process': process, 'from the import': Number(stdout) }
    },
    async close() {},
  }
}
