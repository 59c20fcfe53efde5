import { PREFIX } from './routes.js'

/**
 * Signs a request for the origin (RFC 9421, HMAC-SHA256): its method, authority, path and query, all headers with claims,
 * and the time. So the origin knows that the gateway forwarded it, and the signature fits no other request. The body is not
 * signed.
 */
export async function sign(method: string, target: URL, headers: Headers, secret: string): Promise<void> {
  const names = [...headers.keys()].filter((name) => name.startsWith(PREFIX)).sort()
  const components: [string, string | null][] = [
    ['@method', method],
    ['@authority', target.host],
    ['@path', target.pathname],
    ['@query', target.search || '?'],
    ...names.map((name): [string, string | null] => [name, headers.get(name)]),
  ]
  const created = Math.floor(Date.now() / 1000)
  const covered = components.map(([name]) => `"${name}"`).join(' ')
  const parameters = `(${covered});created=${created};alg="hmac-sha256";tag="countersign-gateway"`
  const base = [...components, ['@signature-params', parameters]].map(([name, value]) => `"${name}": ${value}`).join('\n')
  const signature = await crypto.subtle.sign('HMAC', await importKey(secret), encoder.encode(base))
  headers.set('signature-input', `gateway=${parameters}`)
  headers.set('signature', `gateway=:${btoa(String.fromCharCode(...new Uint8Array(signature)))}:`)
}

const encoder = new TextEncoder()

/** The secret's key. Not its promise, because a request must not await another one's. */
let key: CryptoKey | undefined

async function importKey(secret: string): Promise<CryptoKey> {
  const algorithm = { name: 'HMAC', hash: 'SHA-256' }
  return (key ??= await crypto.subtle.importKey('raw', encoder.encode(secret), algorithm, false, ['sign']))
}
