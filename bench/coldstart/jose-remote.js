// jose, with a key set from a URL.
import { createRemoteJWKSet, jwtVerify } from 'jose'

export async function verdict({ token, jwks, issuer, audience }) {
  const keys = createRemoteJWKSet(new URL(jwks))
  await jwtVerify(token, keys, { algorithms: ['RS256'], issuer, audience, typ: 'at+jwt', requiredClaims: ['exp'] })
}
