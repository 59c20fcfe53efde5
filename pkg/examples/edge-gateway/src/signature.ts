import type { Route } from './routes.js'

/**
 * Signs a request for the origin (RFC 9421, HMAC-SHA256): its method, authority, path and query, all headers with claims,
 * and the time. So the origin knows that the gateway forwarded it, and the signature fits no other request. The body is not
 * signed.
 */
export async function sign({ method, url, headers }: Request, { claims }: Route, secret: string): Promise<void> {
  const { host, pathname, search } = new URL(url)
  let covered = '"@method" "@authority" "@path" "@query"'
  let base = `"@method": ${method}\n"@authority": ${host}\n"@path": ${pathname}\n"@query": ${search || '?'}\n`
  for (const name of claims.values()) {
    if (!headers.has(name)) continue
    covered += ` "${name}"`
    base += `"${name}": ${headers.get(name)}\n`
  }
  const parameters = `(${covered});created=${Math.floor(Date.now() / 1000)};alg="hmac-sha256";tag="countersign-gateway"`
  base += `"@signature-params": ${parameters}`
  key ??= await importKey(secret)
  const signature = await crypto.subtle.sign('HMAC', key, encoder.encode(base))
  headers.set('signature-input', `gateway=${parameters}`)
  headers.set('signature', `gateway=:${new Uint8Array(signature).toBase64()}:`)
}

const encoder = new TextEncoder()

/** The secret's key. Not its promise, because a request must not await another one's. */
let key: CryptoKey | undefined

function importKey(secret: string): Promise<CryptoKey> {
  return crypto.subtle.importKey('raw', encoder.encode(secret), { name: 'HMAC', hash: 'SHA-256' }, false, ['sign'])
}
