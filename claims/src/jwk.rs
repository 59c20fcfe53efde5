//! Public keys as JSON: JWK and JWK Set.

use alloc::{format, string::String, vec::Vec};

use serde::{Deserialize, Serialize};

/// A public JSON Web Key (RFC 7517 §4) of key type RSA (RFC 7518 §6.3.1).
///
/// It can describe a key of another type too, but drops the members of that type. It has no members
/// for private keys, so it never contains one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Jwk {
    /// Key type: `RSA` for every key that Countersign signs with.
    pub kty: String,
    /// Key ID. The issuer uses the RFC 7638 thumbprint of the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kid: Option<String>,
    /// Public key use, the member `use`: `sig` for signatures.
    #[serde(rename = "use", skip_serializing_if = "Option::is_none")]
    pub key_use: Option<String>,
    /// Key operations. A key for signatures has `verify`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_ops: Option<Vec<String>>,
    /// The algorithm that the key is meant for: `RS256`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alg: Option<String>,
    /// RSA modulus: base64url of its big-endian bytes, without leading zeros.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n: Option<String>,
    /// RSA public exponent, in the same encoding: `AQAB` is 65537.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub e: Option<String>,
}

impl Jwk {
    /// Makes an RSA key that checks RS256 signatures, without a key ID.
    ///
    /// `n` and `e` must be base64url (RFC 7518 §6.3.1). They are not checked.
    #[must_use]
    pub fn rsa(n: String, e: String) -> Self {
        Self {
            kty: "RSA".into(),
            kid: None,
            key_use: Some("sig".into()),
            key_ops: None,
            alg: Some("RS256".into()),
            n: Some(n),
            e: Some(e),
        }
    }

    /// Returns the input of the key's thumbprint: its required members in lexicographic order,
    /// without white space (RFC 7638 §3.2). Returns `None` unless it is an RSA key with both
    /// members.
    #[must_use]
    pub fn thumbprint_input(&self) -> Option<String> {
        match (self.kty.as_str(), &self.n, &self.e) {
            // base64url needs no escapes in JSON.
            ("RSA", Some(n), Some(e)) => Some(format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#)),
            _ => None,
        }
    }
}

/// A JWK Set (RFC 7517 §5), as a JWKS endpoint serves it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JwkSet {
    /// The keys. Their order has no meaning.
    pub keys: Vec<Jwk>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thumbprint_input_has_only_the_required_members() {
        let mut key = Jwk::rsa("0vx7".into(), "AQAB".into());
        key.kid = Some("2011-04-29".into());
        assert_eq!(key.thumbprint_input().unwrap(), r#"{"e":"AQAB","kty":"RSA","n":"0vx7"}"#);
        assert_eq!(Jwk { n: None, ..key.clone() }.thumbprint_input(), None);
        assert_eq!(Jwk { kty: "EC".into(), ..key }.thumbprint_input(), None);
    }

    #[test]
    fn absent_members_are_not_written() {
        let json = serde_json::to_string(&Jwk::rsa("0vx7".into(), "AQAB".into())).unwrap();
        assert_eq!(json, r#"{"kty":"RSA","use":"sig","alg":"RS256","n":"0vx7","e":"AQAB"}"#);
    }
}
