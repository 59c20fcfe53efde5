//! RS256 key pairs: generated, sealed for the database, parsed once, and used through
//! jsonwebtoken's signer trait.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use countersign_claims::Jwk;
use jsonwebtoken::crypto::JwtSigner;
use jsonwebtoken::signature::{self, Signer};
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation};
use serde::Serialize;
use serde_json::Value;

use crate::custom_claims::CustomClaims;
use crate::keys::{KeyRecord, KeyState};
use crate::sealing::Sealer;
use crate::{Error, KeyBits};

/// The kind of a signed token. Each kind has its own `typ`, so that none is mistaken for another
/// (RFC 8725 §3.11).
#[derive(Clone, Copy)]
pub(crate) enum TokenType {
    /// RFC 9068 §2.1.
    AccessToken,
    /// draft-ietf-oauth-status-list §5.1.
    StatusList,
}

impl TokenType {
    /// The header parameter `typ`.
    fn name(self) -> &'static str {
        match self {
            Self::AccessToken => "at+jwt",
            Self::StatusList => "statuslist+jwt",
        }
    }

    /// The encoded header that all tokens of this type under one key share.
    fn header(self, kid: &str) -> Option<String> {
        let header = Header {
            typ: Some(self.name().to_owned()),
            kid: Some(kid.to_owned()),
            ..Header::new(Algorithm::RS256)
        };
        Some(URL_SAFE_NO_PAD.encode(serde_json::to_vec(&header).ok()?))
    }
}

/// A private key that is ready to sign: parsed once, never per token.
pub(crate) struct SigningKey {
    kid: String,
    access_token_header: String,
    status_list_header: String,
    pair: RsaKeyPair,
}

impl SigningKey {
    /// Opens a stored key. `None` if it was sealed under another master key or for another record.
    pub(crate) fn open(record: &KeyRecord, sealer: &Sealer) -> Option<Self> {
        let der = sealer.open(&record.sealed, &record.kid)?;
        let pair = RsaKeyPair::from_pkcs8(&der).ok()?;
        Some(Self {
            kid: record.kid.clone(),
            access_token_header: TokenType::AccessToken.header(&record.kid)?,
            status_list_header: TokenType::StatusList.header(&record.kid)?,
            pair,
        })
    }

    pub(crate) fn kid(&self) -> &str {
        &self.kid
    }

    /// Returns the signed access token with these claims and custom claims.
    pub(crate) fn sign_access_token(
        &self,
        claims: &impl Serialize,
        own: &CustomClaims,
    ) -> Result<String, Error> {
        let mut claims = json(claims)?;
        own.append_to(&mut claims);
        self.sign_json(TokenType::AccessToken, &claims)
    }

    /// Returns the signed token in compact serialization (RFC 7515 §7.1).
    pub(crate) fn sign(
        &self,
        token_type: TokenType,
        claims: &impl Serialize,
    ) -> Result<String, Error> {
        self.sign_json(token_type, &json(claims)?)
    }

    fn sign_json(&self, token_type: TokenType, claims: &[u8]) -> Result<String, Error> {
        let header = match token_type {
            TokenType::AccessToken => &self.access_token_header,
            TokenType::StatusList => &self.status_list_header,
        };
        let mut token = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims));
        let signature = self.try_sign(token.as_bytes()).map_err(|_| not_signed())?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Ok(token)
    }
}

fn json(claims: &impl Serialize) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(claims).map_err(|_| not_signed())
}

fn not_signed() -> Error {
    Error::System("a token can't be signed".to_owned())
}

impl Signer<Vec<u8>> for SigningKey {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, signature::Error> {
        let mut out = vec![0; self.pair.public_modulus_len()];
        self.pair
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut out)
            .map_err(signature::Error::from_source)?;
        Ok(out)
    }
}

impl JwtSigner for SigningKey {
    fn algorithm(&self) -> Algorithm {
        Algorithm::RS256
    }
}

/// Returns the claims of an access token that the key `n`, `e` signed. Neither times nor any other
/// claim is checked.
pub(crate) fn open_access_token(token: &str, n: &str, e: &str) -> Option<Value> {
    let key = DecodingKey::from_rsa_components(n, e).ok()?;
    let mut signature_alone = Validation::new(Algorithm::RS256);
    signature_alone.required_spec_claims.clear();
    signature_alone.validate_exp = false;
    signature_alone.validate_aud = false;
    let token = jsonwebtoken::decode::<Value>(token, &key, &signature_alone).ok()?;
    let typ = token.header.typ.as_deref();
    (typ == Some(TokenType::AccessToken.name())).then_some(token.claims)
}

/// Generates a key pair, published at `now`. Takes tenths of a second to some seconds of CPU time,
/// depending on the size.
pub(crate) fn generate(sealer: &Sealer, bits: KeyBits, now: u64) -> Result<KeyRecord, Error> {
    let size = match bits {
        KeyBits::Rsa2048 => KeySize::Rsa2048,
        KeyBits::Rsa3072 => KeySize::Rsa3072,
        KeyBits::Rsa4096 => KeySize::Rsa4096,
    };
    let pair = RsaKeyPair::generate(size).map_err(|_| no_key_pair())?;
    record(&pair, sealer, now)
}

/// Returns the record of a key pair, published at `now`.
pub(crate) fn record(pair: &RsaKeyPair, sealer: &Sealer, now: u64) -> Result<KeyRecord, Error> {
    let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let modulus = pair.public_key().modulus();
    let modulus = modulus.big_endian_without_leading_zero();
    let zeros = modulus.first().map_or(0, |byte| byte.leading_zeros());
    let bits = u32::try_from(modulus.len() * 8).unwrap_or_default().saturating_sub(zeros);
    let n = part(modulus);
    let e = part(pair.public_key().exponent().big_endian_without_leading_zero());
    let kid = thumbprint(&n, &e);
    let der: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| no_key_pair())?;
    let sealed = sealer.seal(der.as_ref(), &kid)?;
    Ok(KeyRecord {
        kid,
        bits,
        n,
        e,
        sealed,
        state: KeyState::Published,
        published_at: now,
        activates_at: None,
        retired_at: None,
        drops_at: None,
    })
}

fn no_key_pair() -> Error {
    Error::System("a key pair can't be made".to_owned())
}

/// Returns the RFC 7638 thumbprint of a key.
fn thumbprint(n: &str, e: &str) -> String {
    let input = Jwk::rsa(n.to_owned(), e.to_owned()).thumbprint_input().unwrap_or_default();
    URL_SAFE_NO_PAD.encode(digest(&SHA256, input.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::thumbprint;

    #[test]
    fn the_kid_is_the_thumbprint_of_rfc_7638() {
        // RFC 7638 §3.1.
        let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
        assert_eq!(thumbprint(n, "AQAB"), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    }
}
