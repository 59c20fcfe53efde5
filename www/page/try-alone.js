import { createVerifier, decodeUnverified } from 'countersign'
import { createTestIssuer } from 'countersign/testing'
import { byId } from './dom.js'
import { createForge } from './forge.js'
import { guarded } from './notice.js'

/** Starts the page without an issuer: the page makes a key of its own and signs its tokens with it. */
export async function startAlone() {
  const issuer = await createTestIssuer({ issuer: 'https://this-page.example' })
  const now = () => Date.now() / 1000
  const verifier = await createVerifier({ ...issuer.options, now })
  const forge = createForge(verifier, now, 'that this page has signed')

  async function sign() {
    const token = await issuer.sign({ sub: 'alice', scope: 'read write', client_id: 'this-page', jti: crypto.randomUUID() })
    const { iat, exp } = decodeUnverified(token).payload
    forge.show(token, { issuedAt: iat, expiresAt: exp })
  }

  byId('sign').addEventListener('click', () => guarded(sign, byId('sign')))
  byId('content').dataset.session = 'alone'
  await sign()
}
