/**
 * Tokens for the tests of a service.
 *
 * @module countersign/testing
 */

import type { Jwk, JwkSet } from './types.js'

/** The names of an issuer for tests. */
export interface TestIssuerOptions {
  /** The claim `iss`. Default: `https://issuer.example`. */
  issuer?: string | undefined
  /** The claim `aud`. Default: `api`. */
  audience?: string | undefined
}

/** The options of a verifier for the tokens of a test issuer. */
export interface TestOptions {
  /** The claim `iss` of its tokens. */
  readonly issuer: string
  /** The claim `aud` of its tokens. */
  readonly audience: string
  /** Its public key. */
  readonly jwks: JwkSet
}

/** An issuer for tests, with a key pair of its own. */
export interface TestIssuer {
  /** Spread them to add others: `createVerifier({ ...options, scope: 'read' })`. */
  readonly options: TestOptions
  /**
   * Makes a token that is valid for five minutes, with the claims `iss`, `aud`, `iat`, `exp`. Other claims are added, those
   * of the same name replaced, and those that are `undefined` left out: `sign({ sub: 'me', aud: undefined })`.
   *
   * @param claims - The token's claims.
   * @param header - The same for the header's `alg`, `typ`, `kid`. The signature is always RS256.
   */
  sign(claims?: Readonly<Record<string, unknown>>, header?: Readonly<Record<string, unknown>>): Promise<string>
}

/**
 * Makes an issuer for tests: a new key pair, the options of a verifier that trusts it, and a function that signs tokens. A
 * second issuer with the same names makes tokens with a wrong signature. It needs WebCrypto, which jsdom does not have.
 */
export async function createTestIssuer(names: TestIssuerOptions = {}): Promise<TestIssuer> {
  const { issuer = 'https://issuer.example', audience = 'api' } = names
  const { privateKey, publicKey } = await crypto.subtle.generateKey(ALGORITHM, false, ['sign', 'verify'])
  const { kty, n, e } = await crypto.subtle.exportKey('jwk', publicKey)
  const key = { kty, n, e, kid: KID, alg: 'RS256', use: 'sig' } as Jwk

  async function sign(claims = {}, header = {}): Promise<string> {
    const iat = Math.floor(Date.now() / 1000)
    const parts = [
      { alg: 'RS256', typ: 'at+jwt', kid: KID, ...header },
      { iss: issuer, aud: audience, iat, exp: iat + 300, ...claims },
    ]
    const encoder = new TextEncoder()
    const input = parts.map((part) => toBase64url(encoder.encode(JSON.stringify(part)))).join('.')
    const signature = await crypto.subtle.sign(ALGORITHM.name, privateKey, encoder.encode(input))
    return `${input}.${toBase64url(new Uint8Array(signature))}`
  }

  return { options: { issuer, audience, jwks: { keys: [key] } }, sign }
}

const ALGORITHM = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256', modulusLength: 2048, publicExponent: Uint8Array.of(1, 0, 1) }

/** The same for each issuer: with the tokens of another one, the signature is wrong, not the key. */
const KID = 'test'

function toBase64url(bytes: Uint8Array): string {
  const characters = Array.from(bytes, (byte) => String.fromCharCode(byte)).join('')
  return btoa(characters).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')
}
