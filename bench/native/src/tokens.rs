//! A key pair and its access tokens (RFC 9068) of about 700 characters, made at run time.

use std::time::SystemTime;

use aws_lc_rs::{
    rand::SystemRandom,
    rsa::{KeyPair, KeySize},
    signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaPublicKeyComponents},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use countersign_verifier::since_epoch;
use serde::{Deserialize, Serialize};
use serde_json::json;

pub const ISSUER: &str = "https://auth.example";
pub const AUDIENCE: &str = "https://api.example";
pub const KID: &str = "Vd2o5mBYUqLv0m3x1kXcEw7cTq0p6a5rZs9fJ4hGtNY";

/// The claims that are read from an accepted token. jwt-simple keeps the registered ones apart.
#[derive(Deserialize, Serialize)]
pub struct Claims {
    pub client_id: String,
    pub scope: String,
}

/// A token and its signature.
pub struct Token {
    pub text: String,
    signed_length: usize,
    pub signature: Vec<u8>,
}

impl Token {
    /// Returns the signed text: header, period and payload.
    pub fn signed(&self) -> &[u8] {
        &self.text.as_bytes()[..self.signed_length]
    }
}

pub struct Key {
    pub pair: KeyPair,
    /// The modulus and the exponent, as big-endian bytes.
    pub components: RsaPublicKeyComponents<Vec<u8>>,
}

impl Key {
    pub fn generate() -> Self {
        let pair = KeyPair::generate(KeySize::Rsa2048).expect("a key pair");
        let components = pair.public_key().into();
        Self { pair, components }
    }

    pub fn jwks(&self) -> String {
        let RsaPublicKeyComponents { n, e } = &self.components;
        json!({ "keys": [{ "kty": "RSA", "use": "sig", "alg": "RS256", "kid": KID, "n": encode(n), "e": encode(e) }] })
            .to_string()
    }

    /// Makes a token. `seconds_left` is the time to its expiry.
    pub fn sign(&self, issuer: &str, audience: &str, seconds_left: i64, number: usize) -> Token {
        let now = since_epoch(SystemTime::now()).as_secs().cast_signed();
        let header = json!({ "alg": "RS256", "typ": "at+jwt", "kid": KID });
        let claims = json!({
            "iss": issuer, "aud": audience, "iat": now - 5, "exp": now + seconds_left,
            "jti": format!("{number:08}"), "sub": format!("user-{number:016}"), "client_id": "bench",
            "sid": format!("{number:016}"), "scope": "read write",
        });
        let signed = format!("{}.{}", encode(header.to_string()), encode(claims.to_string()));
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
            .expect("a signature");
        let text = format!("{signed}.{}", encode(&signature));
        Token { text, signed_length: signed.len(), signature }
    }
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}
