// Pages with the package: their HTML, their server, and the browser that opens them.
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { extname, join, normalize } from 'node:path'
import { openPage } from '../runtimes/browsers.js'

const TYPES = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript', '.wasm': 'application/wasm' }

/** Returns a page with these scripts. */
export const html = (scripts) => `<!doctype html>
<html lang="en">
<title>A page with countersign</title>
${scripts}
</html>
`

/** Returns a page for one run, from the text of a page. It reports its errors as results, by `REPORT`. */
export function reporting(page, address) {
  return page.replace(/<!doctype html>/i, `$&<script src="/report.js" data-address="${address}"></script>`)
}

/** Reports uncaught errors, files that do not load, and violations of the Content-Security-Policy. */
export const REPORT = `
const { address } = document.currentScript.dataset
const report = (problem) => fetch(address, { method: 'POST', body: JSON.stringify({ problems: [problem] }) })

addEventListener('error', ({ message, target }) => report(message ?? 'did not load: ' + (target.src || target.localName)), true)
addEventListener('unhandledrejection', ({ reason }) => report(String(reason)))
addEventListener('securitypolicyviolation', ({ violatedDirective, blockedURI }) => {
  // Some browsers request /favicon.ico.
  if (violatedDirective !== 'img-src') report(violatedDirective + ' blocks ' + blockedURI)
})
`

/** Returns the strictest policy under which a page works that does only the job of `address`. */
export async function strictPolicy(address, page) {
  const { options } = await (await fetch(address)).json()
  // Parcel writes an import map into the page, which is an inline script.
  const inline = Array.from(page.matchAll(/<script[^>]*>([^<]+)</g), ([, text]) => ` 'sha256-${createHash('sha256').update(text).digest('base64')}'`)
  const scripts = `script-src 'self' 'wasm-unsafe-eval'${inline.join('')}`
  return `default-src 'none'; ${scripts}; connect-src 'self' ${options.issuer} ${new URL(address).origin}`
}

/**
 * Serves the files of a folder while `work` runs.
 *
 * @template T
 * @param {{ folder: string, port: number, policy?: string }} setting `policy`: a Content-Security-Policy
 * @param {(url: string) => Promise<T>} work gets the URL of `index.html`
 * @returns {Promise<T>}
 */
export async function served({ folder, port, policy }, work) {
  const server = createServer((request, response) => {
    const path = normalize(new URL(request.url, 'http://localhost').pathname)
    const headers = { 'content-type': TYPES[extname(path)] ?? 'application/octet-stream', ...(policy && { 'content-security-policy': policy }) }
    readFile(join(folder, path)).then(
      (content) => response.writeHead(200, headers).end(content),
      () => response.writeHead(404).end(),
    )
  })
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  try {
    return await work(`http://127.0.0.1:${port}/index.html`)
  } finally {
    server.close()
    server.closeAllConnections()
  }
}

/**
 * Keeps a page open until its run has a result.
 *
 * @param {string} browser one of `BROWSERS`
 * @param {string} url
 * @param {Promise<object>} result
 * @returns {Promise<string>} the browser's version
 */
export async function untilResult(browser, url, result) {
  let failed
  const failure = new Promise((_, reject) => {
    failed = reject
  })
  const { runtime, close } = await openPage(browser, url, failed)
  try {
    await Promise.race([result, failure])
    return runtime.split(' ').at(-1)
  } finally {
    await close()
  }
}
