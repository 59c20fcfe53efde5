// Our library, from nothing to a verdict.
import { createVerifier } from 'countersign'

export async function verdict({ token, jwks, issuer, audience }) {
  const verifier = await createVerifier({ issuer, audience, jwks })
  await verifier.verify(token)
}
