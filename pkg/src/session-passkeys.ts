import { browser as page, type Browser } from './session-browser.js'
import { SessionError } from './session-error.js'

/**
 * Lets the user make a passkey: the system asks for a fingerprint, a PIN or a security key.
 *
 * @param options - `PublicKeyCredentialCreationOptionsJSON`: the member `public_key` of the issuer's answer.
 * @returns `RegistrationResponseJSON`, for the member `credential` of the next request.
 * @throws {@link SessionError} `passkey_cancelled`, `passkey_exists` or `passkey_unavailable`; if `signal` is aborted, its reason
 */
export async function createPasskey(options: object, { signal }: { signal?: AbortSignal | undefined } = {}): Promise<object> {
  const credential = await ask(page, 'create', options, { signal })
  const response = credential.response as AuthenticatorAttestationResponse
  const publicKey = response.getPublicKey()
  return inJson(credential, {
    clientDataJSON: encode(response.clientDataJSON),
    attestationObject: encode(response.attestationObject),
    authenticatorData: encode(response.getAuthenticatorData()),
    transports: response.getTransports(),
    publicKeyAlgorithm: response.getPublicKeyAlgorithm(),
    ...(publicKey && { publicKey: encode(publicKey) }),
  })
}

/**
 * Lets the user choose a passkey.
 *
 * @param options - `PublicKeyCredentialRequestOptionsJSON`.
 * @returns `AuthenticationResponseJSON`.
 * @throws {@link SessionError} `passkey_cancelled` or `passkey_unavailable`; if `signal` is aborted, its reason
 */
export async function getPasskey(browser: Browser, options: object, how: Asking): Promise<object> {
  const credential = await ask(browser, 'get', options, how)
  const { clientDataJSON, authenticatorData, signature, userHandle } = credential.response as AuthenticatorAssertionResponse
  return inJson(credential, {
    clientDataJSON: encode(clientDataJSON),
    authenticatorData: encode(authenticatorData),
    signature: encode(signature),
    ...(userHandle && { userHandle: encode(userHandle) }),
  })
}

interface Asking {
  readonly mediation?: 'conditional' | undefined
  readonly signal?: AbortSignal | undefined
}

async function ask(browser: Browser, method: 'create' | 'get', options: object, { mediation, signal }: Asking): Promise<PublicKeyCredential> {
  const { credentials } = browser
  const advice = 'expected a browser with WebAuthn, and a page over https (or at localhost) on the domain that the issuer has as passkey_rp_id'
  if (credentials === undefined) throw new SessionError('passkey_unavailable', `this page cannot use passkeys: ${advice}`)
  let cause: unknown
  try {
    // Members that are undefined count as missing ones.
    const request = { publicKey: fromJson(options), mediation, signal } as unknown
    const credential = await credentials[method](request as CredentialCreationOptions & CredentialRequestOptions)
    if (credential !== null) return credential as PublicKeyCredential
  } catch (error) {
    cause = error
  }
  if (signal?.aborted) throw signal.reason
  const name = (cause as Error | undefined)?.name ?? 'NotAllowedError'
  if (name === 'InvalidStateError') throw new SessionError('passkey_exists', 'this device has a passkey for this account already', { cause })
  if (name === 'NotAllowedError' || name === 'AbortError') {
    throw new SessionError('passkey_cancelled', 'the browser gave no passkey: it was cancelled, took too long, or there is none', { cause })
  }
  throw new SessionError('passkey_unavailable', `the browser refused the request for a passkey (${name}): ${advice}`, { cause })
}

// The browser's own functions for JSON are younger, and fail with the passkeys of some password managers.

/** Returns options with octets for base64url (WebAuthn Level 3, sections 5.1.8 and 5.1.9). */
function fromJson(options: object): object {
  const { challenge, user, allowCredentials, excludeCredentials, ...others } = options as Record<string, unknown>
  const withId = (value: unknown) => ({ ...(value as object), id: decode((value as { id: unknown }).id) })
  const list = (name: string, value: unknown) => Array.isArray(value) && { [name]: value.map(withId) }
  return {
    ...others,
    challenge: decode(challenge),
    ...(user !== undefined && { user: withId(user) }),
    ...list('allowCredentials', allowCredentials),
    ...list('excludeCredentials', excludeCredentials),
  }
}

/** Returns a credential with base64url for octets (WebAuthn Level 3, section 5.1). */
function inJson(credential: PublicKeyCredential, response: object): object {
  const { id, type, authenticatorAttachment } = credential
  const clientExtensionResults = credential.getClientExtensionResults()
  return { id, rawId: id, type, response, clientExtensionResults, ...(authenticatorAttachment && { authenticatorAttachment }) }
}

function decode(text: unknown): Uint8Array {
  return Uint8Array.from(atob(String(text).replaceAll('-', '+').replaceAll('_', '/')), (character) => character.charCodeAt(0))
}

function encode(octets: ArrayBuffer): string {
  const text = Array.from(new Uint8Array(octets), (octet) => String.fromCharCode(octet)).join('')
  return btoa(text).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')
}
