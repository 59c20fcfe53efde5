// oidc-provider from npm, one process as its users run it: `node oidc-provider.js PORT CLIENT_ID CLIENT_SECRET`. It issues
// the same tokens to one client as our issuer does: RS256 access tokens (RFC 9068) that live for 15 minutes.
import { generateKeyPairSync } from 'node:crypto'
import Provider from 'oidc-provider'

const [port, client_id, client_secret] = process.argv.slice(2)
const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [{ client_id, client_secret, grant_types: ['client_credentials'], redirect_uris: [], response_types: [] }],
  scopes: ['read', 'write'],
  jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), kid: 'bench', use: 'sig', alg: 'RS256' }] },
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => 'https://api.example',
      getResourceServerInfo: () => ({
        scope: 'read write',
        audience: 'https://api.example',
        accessTokenTTL: 900,
        accessTokenFormat: 'jwt',
        jwt: { sign: { alg: 'RS256' } },
      }),
    },
  },
})
provider.listen(Number(port), '127.0.0.1')
