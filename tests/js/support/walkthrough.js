// Follows a document as its reader would: writes its files and runs its commands, in order, in a new folder. Remarks before a
// block, in `<!-- test: … -->`:
//
// | remark | effect |
// |---|---|
// | `keeps running at PORT` | The last command serves at this port until the end of the page. |
// | `output not compared, REASON` | The printed output is an example. |
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { codeBlocks, read, ROOT } from './documents.js'
import { freePort } from './issuer.js'

/** Ports in the documents, for which free ones stand here. */
const PORTS = ['3000', '8080', '9090']

/** Programs in the place of those that install something. Each refuses arguments that no document has. */
const PROGRAMS = {
  cargo: '[ "$*" = "build --release -p countersign-issuer" ] && mkdir -p target/release && ln -sf "$ISSUER" target/release/countersign-issuer',
  npm: '[ "$*" = "install countersign" ]',
  npx: `[ "$1" = countersign ] && shift && exec node "${ROOT}pkg/dist/cli/main.js" "$@"`,
}

/**
 * @param {string} path the document
 * @param {{ files?: Record<string, string>, env?: Record<string, string> }} [given] files of the folder, and variables
 * @returns {Promise<string>} the folder, with the files that the document wrote
 */
export async function follow(t, path, { files = {}, env = {} } = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'countersign-walkthrough-'))
  t.after(() => rm(folder, { recursive: true, maxRetries: 3 }))
  await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'), 'junction')
  await mkdir(join(folder, 'bin'))
  for (const [name, script] of Object.entries(PROGRAMS)) {
    await writeFile(join(folder, 'bin', name), `#!/bin/sh\n${script}\n`)
    await chmod(join(folder, 'bin', name), 0o755)
  }
  for (const [name, text] of Object.entries({ 'package.json': '{"type":"module"}', ...files })) await writeFile(join(folder, name), text)

  const ports = new Map()
  for (const port of PORTS) ports.set(port, String(await freePort()))
  const here = (text) => PORTS.reduce((text, port) => text.replaceAll(port, ports.get(port)), text)
  const shell = new Shell(folder, {
    PATH: `${join(folder, 'bin')}:${process.env.PATH}`,
    COUNTERSIGN_LISTEN: here('127.0.0.1:8080'),
    COUNTERSIGN_ADMIN_LISTEN: here('127.0.0.1:9090'),
    ...env,
  })
  t.after(() => shell.stop())
  for (const { line, language, text, remarks } of codeBlocks(read(path))) {
    const place = `${path}:${line}`
    const [, file] = /^\/\/ (\S+\.js)\n/.exec(text) ?? []
    if (file !== undefined) await writeFile(join(folder, file), here(text))
    if (!['sh', 'console'].includes(language)) continue
    const [served] = remarks.flatMap((remark) => /^keeps running at (\d+)$/.exec(remark)?.[1] ?? [])
    for (const { command, printed } of commandsOf(language, here(text))) {
      const output = await shell.run(served === undefined ? command : `${command.trimEnd()} &`, place)
      if (served !== undefined) await answers(ports.get(served), place)
      const isCompared = printed !== '' && !remarks.some((remark) => remark.startsWith('output not compared, '))
      if (isCompared) assert.match(output.replaceAll('\r', '').trim(), patternOf(printed), `${place}: ${command}\n${output}`)
    }
  }
  return folder
}

/** Returns the commands, each with its printed output. A block of `sh` has none. */
function commandsOf(language, text) {
  if (language === 'sh') return [{ command: text, printed: '' }]
  return text.split(/^\$ /m).slice(1).map((part) => {
    const [command, ...printed] = part.split('\n')
    return { command, printed: printed.join('\n').trim() }
  })
}

/** `…` stands for any text. */
function patternOf(printed) {
  return new RegExp(`^${printed.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&').replaceAll('…', '[^]*')}$`)
}

/** Waits until something answers on the port. An issuer that is starting answers 503. */
async function answers(port, place) {
  for (let i = 0; i < 600; i++) {
    const status = await fetch(`http://127.0.0.1:${port}/healthz/ready`).then((response) => response.status, () => 503)
    if (status !== 503) return
    await sleep(50)
  }
  throw new Error(`${place}: nothing answers on port ${port} after 30 s`)
}

/** One shell for all commands, so that variables and the folder remain. It ends at the first command that fails. */
class Shell {
  #child
  #lines
  #folder
  #number = 0

  constructor(folder, env) {
    this.#folder = folder
    this.#child = spawn('bash', ['-e', '-o', 'pipefail'], { cwd: folder, env, detached: true, stdio: ['pipe', 'pipe', 'inherit'] })
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]()
  }

  async run(command, place) {
    // A file for each, because a command that keeps running goes on to write.
    const file = join(this.#folder, `.output-${this.#number++}`)
    this.#child.stdin.write(`{\n${command}\n} > '${file}' 2>&1 < /dev/null\necho done\n`)
    const { done } = await this.#lines.next()
    const output = await readFile(file, 'utf8')
    assert.ok(!done, `${place} fails: ${command}\n${output}`)
    return output
  }

  /** Stops the shell with all that it started. */
  async stop() {
    const ended = this.#child.exitCode === null ? once(this.#child, 'exit') : undefined
    process.kill(-this.#child.pid)
    await ended
  }
}
