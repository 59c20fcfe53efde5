// For an origin on Node.js: did the gateway forward this request, and with which claims?
import { createHmac, timingSafeEqual } from 'node:crypto'

const PREFIX = 'x-verified-'
const SIGNATURE_INPUT = /^gateway=(\([^()]*\);created=(\d{1,12});alg="hmac-sha256";tag="countersign-gateway")$/

/**
 * Returns the claims of a request that the gateway signed, by header, or `undefined` for any other request: refuse that with
 * 403. It must be the request as it came, before a framework changes its `url`.
 *
 * @param {import('node:http').IncomingMessage} request
 * @param {object} options
 * @param {string[]} options.secrets The gateway's `SIGNING_KEY`. While it is being changed, the old one and the new one.
 * @param {string} options.origin The gateway's `ORIGIN`.
 * @param {number} [options.maxAge] How old a signature may be, and how far the clocks may differ: seconds.
 * @returns {Record<string, string> | undefined}
 */
export function claimsFromGateway({ method, originalUrl, url, headers }, { secrets, origin, maxAge = 60 }) {
  // Anybody could sign with a secret that is empty.
  if (!secrets.every((secret) => secret.length >= 32)) throw new TypeError('expected secrets of 32 characters or more')
  const [, parameters, created] = SIGNATURE_INPUT.exec(headers['signature-input'] ?? '') ?? []
  if (parameters === undefined || Math.abs(Date.now() / 1000 - Number(created)) > maxAge) return undefined

  // All headers with claims that are there must have been signed, and all that were signed must be there.
  const names = Object.keys(headers).filter((name) => name.startsWith(PREFIX)).sort()
  const [path, ...query] = (originalUrl ?? url).split('?')
  const components = [
    ['@method', method],
    ['@authority', new URL(origin).host],
    ['@path', path],
    ['@query', `?${query.join('?')}`],
    ...names.map((name) => [name, headers[name]]),
  ]
  const base = [...components, ['@signature-params', parameters]].map(([name, value]) => `"${name}": ${value}`).join('\n')
  if (!secrets.some((secret) => isSignature(headers.signature, secret, base))) return undefined
  return Object.fromEntries(names.map((name) => [name, decodeURIComponent(headers[name])]))
}

function isSignature(given = '', secret, base) {
  const expected = createHmac('sha256', secret).update(base).digest('base64')
  const [a, b] = [given, `gateway=:${expected}:`].map((text) => Buffer.from(text))
  return a.length === b.length && timingSafeEqual(a, b)
}
