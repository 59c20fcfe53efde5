// The exports that all entry points share.
export { decodeUnverified, expiry } from './decode.js'
export { VerifyError } from './errors.js'
export type { Expiry, Unverified } from './decode.js'
export type { ErrorCode, Stage, VerifyErrorFields } from './errors.js'
export type { ClaimValue, Jwk, JwkSet, JwksOptions, JwtHeader, JwtPayload, KeyStore, StatusCheck, Verified, Verifier, VerifierOptions } from './types.js'
