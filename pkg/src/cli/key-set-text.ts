import { MAX_DOCUMENT_BYTES } from '../fetch-document.js'
import { problemOfKeys, WHERE_SETS_ARE } from '../words.js'
import { parseJson } from './encoding.js'
import { show } from './show.js'

/** Says why a text is no JWK Set, and what to do. Returns `undefined` if it is one. */
export function problemOfKeySet(text: string): string | undefined {
  return otherFormat(text) ?? problemOfKeys(parseJson(text))
}

/** Says what the text is instead of a JSON object. */
function otherFormat(text: string): string | undefined {
  if (text.trim() === '') return 'is empty: expected a JWK Set, { "keys": [ … ] }'
  if (/-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(text)) {
    return 'holds a private key, which only the issuer may have: give the JWK Set of its public keys'
  }
  if (/^\s*-----BEGIN/.test(text)) {
    return `is PEM: give a JWK Set; to convert a public key or a certificate: node -p '${TO_JWK_SET}' < FILE`
  }
  if (/^\s*</.test(text)) return `is HTML or XML, not JSON: expected ${WHERE_SETS_ARE}, at ${METADATA}`
  if (/^\s*[\w-]+\.[\w-]*\.[\w-]*\s*$/.test(text)) return IS_TOKEN
  if (text.length > MAX_DOCUMENT_BYTES) return 'is larger than 1 MiB, the limit for a key set'
  const value = parseJson(text)
  if (value === undefined) return 'is not JSON: expected a JWK Set, { "keys": [ … ] }'
  const uri = (value as { jwks_uri?: unknown } | null)?.jwks_uri
  if (typeof uri === 'string') return `is the issuer's metadata: its key set is at ${show(uri)}`
  return undefined
}

/** The problem with a token in the place of a key set. */
export const IS_TOKEN = 'is a token, not a key set'

const METADATA = '/.well-known/oauth-authorization-server or /.well-known/openid-configuration'

/** Makes a set of one key, without a `kid`. */
const TO_JWK_SET = 'JSON.stringify({ keys: [crypto.createPublicKey(fs.readFileSync(0)).export({ format: "jwk" })] })'
