/** Pages that fetch a document whose address the reader types, and what they may connect to besides the site. */
const CONNECT = { 'inspect.html': ['https:', 'http://127.0.0.1:*', 'http://localhost:*'] }

/** Pages that show other pages of the site in frames, and the pages that may be shown so. */
const FRAMING = ['sessions.html']
const FRAMED = ['sessions-tab.html']

/** Returns true for a page that is a part of another one. */
export function isFramed(path) {
  return FRAMED.includes(path)
}

/**
 * Returns the Content-Security-Policy of a page: scripts, styles and pictures of the site alone, and nothing inline.
 *
 * @param {string} path of the page, from the root of the site
 * @param {string} [issuer] the URL of the demo's issuer, which pages may connect to
 */
export function policyOf(path, issuer) {
  const connect = ["'self'", ...(issuer === undefined ? [] : [new URL(issuer).origin]), ...(CONNECT[path] ?? [])]
  return [
    "default-src 'none'",
    "script-src 'self' 'wasm-unsafe-eval'",
    "style-src 'self'",
    "img-src 'self'",
    `connect-src ${connect.join(' ')}`,
    ...(FRAMING.includes(path) ? ["frame-src 'self'"] : []),
    "base-uri 'none'",
    "form-action 'none'",
  ].join('; ')
}
