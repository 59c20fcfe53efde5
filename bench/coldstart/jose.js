// jose, with a key set that is at hand.
import { createLocalJWKSet, jwtVerify } from 'jose'

export async function verdict({ token, jwks, issuer, audience }) {
  await jwtVerify(token, createLocalJWKSet(jwks), { algorithms: ['RS256'], issuer, audience, typ: 'at+jwt', requiredClaims: ['exp'] })
}
