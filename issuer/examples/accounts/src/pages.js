// Static files: the page, and the modules of npm packages that it imports.
import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { extname } from 'node:path'

const PAGE = new URL('../page/', import.meta.url)

const TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
}

/** @param {{ origin: string, issuer: string }} settings */
export async function createPages({ origin, issuer }) {
  const files = await findFiles()
  const headers = securityHeaders({ origin, issuer, importMap: await readImportMap() })
  return {
    setHeaders(response) {
      for (const [name, value] of headers) response.setHeader(name, value)
    },

    /** Returns the route of a file. The path is only looked up: it never becomes the path of a file. */
    route(path) {
      const file = files.get(path)
      if (file === undefined) return undefined
      return {
        async GET(_request, response) {
          const content = await readFile(file)
          response.writeHead(200, { 'content-type': TYPES[extname(file.pathname)], 'cache-control': 'no-cache' })
          response.end(content)
        },
      }
    },
  }
}

/** Returns the URL of the file of each path. */
async function findFiles() {
  const files = new Map()
  const add = (folder, path, names) => {
    for (const name of names) if (Object.hasOwn(TYPES, extname(name))) files.set(path + name, new URL(name, folder))
  }
  add(PAGE, '/', await readdir(PAGE))
  const countersign = new URL('.', import.meta.resolve('countersign/session'))
  add(countersign, '/modules/countersign/', await readdir(countersign))
  files.set('/modules/qr.js', new URL(import.meta.resolve('qr')))
  return files.set('/', files.get('/index.html'))
}

/** Returns the text of the page's only inline script, which the Content-Security-Policy allows by its hash. */
async function readImportMap() {
  const page = await readFile(new URL('index.html', PAGE), 'utf8')
  return /<script type="importmap">(.*?)<\/script>/s.exec(page)[1]
}

function securityHeaders({ origin, issuer, importMap }) {
  const headers = {
    'content-security-policy': [
      "default-src 'none'",
      `script-src 'self' 'sha256-${createHash('sha256').update(importMap).digest('base64')}'`,
      "style-src 'self'",
      "img-src 'self'",
      `connect-src 'self' ${new URL(issuer).origin}`,
      "base-uri 'none'",
      "form-action 'none'",
      "frame-ancestors 'none'",
      "require-trusted-types-for 'script'",
      "trusted-types 'none'",
    ].join('; '),
    'cross-origin-opener-policy': 'same-origin',
    'cross-origin-resource-policy': 'same-origin',
    'permissions-policy': 'camera=(), geolocation=(), microphone=(), publickey-credentials-create=(self), publickey-credentials-get=(self)',
    'referrer-policy': 'no-referrer',
    'x-content-type-options': 'nosniff',
  }
  if (origin.startsWith('https:')) headers['strict-transport-security'] = 'max-age=31536000'
  return Object.entries(headers)
}
