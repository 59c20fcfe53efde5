//! The key set: imports its keys, and chooses the one key that may check a token.

use alloc::{
    string::{String, ToString},
    vec::Vec,
};
use core::{fmt, str::FromStr};

use crate::{
    Error, KeyRejection,
    error::{Refusal, boxed},
    header::Header,
    json::{Document, Value},
    key::{PublicKey, member},
};

/// The most keys in a set. Most issuers have two or three, some have one for each customer. The
/// bound keeps the import and the search for a key short.
const MAX_KEYS: usize = 1000;

/// A JWK Set (RFC 7517 §5) with its keys imported.
///
/// A key that cannot be used (another type, another use, too short…) does not spoil the set. It is
/// refused when a token names it and no usable key has that name.
///
/// ```
/// use countersign_verifier::KeySet;
///
/// assert!(!KeySet::from_json(r#"{ "keys": [] }"#)?.has_usable_keys());
/// # Ok::<(), countersign_verifier::Error>(())
/// ```
#[derive(Clone)]
pub struct KeySet {
    entries: Vec<Entry>,
}

#[derive(Clone)]
struct Entry {
    kid: Option<String>,
    key: Result<PublicKey, KeyRejection>,
}

impl KeySet {
    /// Reads a JWK Set document and imports its keys. A byte order mark before it is skipped. The
    /// work that depends on a key alone is done once, when a token first needs the key.
    ///
    /// # Errors
    /// [`Error::JwksInvalid`] if the text is not strict JSON, has no array `keys`, or has more than
    /// 1000 keys.
    pub fn from_json(jwks: &str) -> Result<Self, Error> {
        let jwks = jwks.strip_prefix('\u{feff}').unwrap_or(jwks);
        let document = Document::parse(jwks.as_bytes().to_vec())
            .map_err(|problem| invalid("json", problem))?;
        let Some(keys) = document.get("keys").and_then(Value::as_array) else {
            return Err(match document.get("d") {
                Some(d) if !d.is_null() => invalid("private_key", PRIVATE_KEY),
                _ => invalid("no_keys_array", NO_KEYS_ARRAY),
            });
        };
        if keys.len() > MAX_KEYS {
            return Err(invalid("too_many_keys", "has more than 1000 keys, the limit"));
        }
        Ok(Self { entries: keys.map(Entry::import).collect() })
    }

    /// Returns true if a key of the set can check a token. A fetched set without such a key is
    /// best treated like a failed fetch: the issuer has a fault, and no token will pass.
    #[must_use]
    pub fn has_usable_keys(&self) -> bool {
        self.entries.iter().any(|entry| entry.key.is_ok())
    }

    /// Returns the key for a token: the only usable one with the `kid` of its header or, if the
    /// header has none, the only usable one of the set. A key that is there twice counts once.
    pub(crate) fn choose(&self, header: &Header<'_>) -> Result<&PublicKey, Refusal> {
        let named = header.kid.is_some();
        let mut chosen: Option<&PublicKey> = None;
        let mut rejection = None;
        for entry in &self.entries {
            if named && entry.kid.as_deref() != header.kid {
                continue;
            }
            match &entry.key {
                Ok(key) if key.is_for(header.algorithm) => {
                    if chosen.is_some_and(|chosen| chosen != key) {
                        return Err(match named {
                            true => rejected(KeyRejection::DuplicateKeyId),
                            false => boxed(Error::KeyNotFound { named, set_is_empty: false }),
                        });
                    }
                    chosen = Some(key);
                }
                // Everyone who read it can sign in the name of its public twin.
                Err(KeyRejection::Private) if named => return Err(rejected(KeyRejection::Private)),
                Err(reason) => rejection = rejection.or(Some(*reason)),
                Ok(_) => rejection = rejection.or(Some(KeyRejection::Algorithm)),
            }
        }
        // A key without an alternative tells why it is rejected.
        let rejection = rejection.filter(|_| named || self.entries.len() == 1).map(rejected);
        let set_is_empty = self.entries.is_empty();
        chosen.ok_or_else(|| {
            rejection.unwrap_or_else(|| boxed(Error::KeyNotFound { named, set_is_empty }))
        })
    }

    /// Returns the rejection of each key, in the order of the set.
    #[cfg(fuzzing)]
    pub(crate) fn rejections(&self) -> Vec<Option<KeyRejection>> {
        self.entries.iter().map(|entry| entry.key.as_ref().err().copied()).collect()
    }
}

const PRIVATE_KEY: &str = "is a private key: remove it, and rotate it, since it may have leaked";
const NO_KEYS_ARRAY: &str = "has no array `keys`: expected { \"keys\": [ … ] }; if this is the issuer's \
    metadata, take the URL in its jwks_uri";

const fn invalid(reason: &'static str, problem: &'static str) -> Error {
    Error::JwksInvalid { reason, problem }
}

fn rejected(reason: KeyRejection) -> Refusal {
    boxed(Error::KeyRejected { reason })
}

impl Entry {
    fn import(jwk: Value<'_>) -> Self {
        let (kid, key) = match member(jwk, "kid").map(Value::as_str) {
            _ if !jwk.is_object() => (None, Err(KeyRejection::NotObject)),
            None => (None, PublicKey::import(jwk)),
            Some(Some(kid)) => (Some(kid.to_string()), PublicKey::import(jwk)),
            Some(None) => (None, Err(KeyRejection::KeyId)),
        };
        Self { kid, key }
    }
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.entries.iter().map(|entry| &entry.kid)).finish()
    }
}

/// Reads a JWK Set document, as [`KeySet::from_json`] does.
impl FromStr for KeySet {
    type Err = Error;

    fn from_str(jwks: &str) -> Result<Self, Error> {
        Self::from_json(jwks)
    }
}
