// Runs the package's command line.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { fileURLToPath } from 'node:url'

const program = fileURLToPath(new URL('../../../pkg/dist/cli/main.js', import.meta.url))

/** Runs the program with an input. Fails if the output repeats a token. */
export function countersign(args, { stdin = '', env = {}, cwd } = {}) {
  return new Promise((resolve) => {
    const child = execFile(process.execPath, [program, ...args], { cwd, env: { PATH: process.env.PATH, ...env } }, (error, stdout, stderr) => {
      const given = [...args, stdin].flatMap((text) => text.split('.')).filter((part) => part.length > 40 && !/[/\s]/.test(part))
      for (const part of given) assert.ok(!`${stdout}${stderr}`.includes(part), 'the token is repeated')
      assert.doesNotMatch(stderr, /at .*\.js:\d+/, 'a stack trace')
      resolve({ code: error?.code ?? 0, stdout, stderr })
    })
    child.stdin.on('error', () => {})
    child.stdin.end(stdin)
  })
}

/**
 * Serves a text at every path until the test ends, and returns a URL of the server.
 *
 * @param {string | ((path: string, origin: string) => string | undefined)} body may be a function; `undefined` is a 404
 */
export async function serve(t, body, { status = 200, type = 'application/jwk-set+json' } = {}) {
  let origin
  const server = createServer((request, response) => {
    const text = typeof body === 'string' ? body : body(request.url, origin)
    response.writeHead(text === undefined ? 404 : status, { 'content-type': type }).end(text)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => (server.close(), server.closeAllConnections()))
  origin = `http://127.0.0.1:${server.address().port}`
  return `${origin}/jwks.json`
}
