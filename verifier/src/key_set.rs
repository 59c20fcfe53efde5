//! The key set: imports its keys once, and chooses the one key that may check a token.

use alloc::{
    string::{String, ToString},
    vec::Vec,
};
use core::fmt;

use crate::{
    Error, KeyRejection,
    header::Header,
    json::{Document, Value},
    key::PublicKey,
};

/// The most keys in a set. An issuer needs two or three. The bound keeps the import and the search
/// for a key short.
const MAX_KEYS: usize = 64;

/// A JWK Set (RFC 7517 §5) with its keys imported.
///
/// A key that cannot be used (another type, another use, too short…) does not spoil the set. It is
/// refused when a token names it.
pub struct KeySet {
    entries: Vec<Entry>,
}

struct Entry {
    kid: Option<String>,
    key: Result<PublicKey, KeyRejection>,
}

impl KeySet {
    /// Reads a JWK Set document and imports its keys. All work that depends on the key alone is
    /// done here once, not for each token.
    ///
    /// # Errors
    /// [`Error::JwksInvalid`] if the text is not strict JSON, has no array `keys`, has more than 64
    /// keys, or has a key that is not an object.
    pub fn from_json(jwks: &str) -> Result<Self, Error> {
        let document = Document::parse(jwks.as_bytes().to_vec())
            .map_err(|problem| invalid("json", problem))?;
        let Some(keys) = document.get("keys").and_then(Value::as_array) else {
            return Err(match document.get("d") {
                Some(_) => invalid("private_key", PRIVATE_KEY),
                None => invalid("no_keys_array", NO_KEYS_ARRAY),
            });
        };
        if keys.len() > MAX_KEYS {
            return Err(invalid("too_many_keys", "has more than 64 keys"));
        }
        let entries = keys.map(Entry::import).collect::<Option<_>>();
        entries
            .map(|entries| Self { entries })
            .ok_or_else(|| invalid("key_not_object", "has a key that is not an object"))
    }

    /// Returns the key for a token: the only one with the `kid` of its header or, if the header has
    /// none, the only usable one of the set.
    pub(crate) fn choose(&self, header: &Header<'_>) -> Result<&PublicKey, Error> {
        let named = header.kid.is_some();
        let usable = |entry: &Entry| match &entry.key {
            Ok(key) => key.is_for(header.algorithm),
            Err(_) => false,
        };
        let mut candidates = self.entries.iter().filter(|entry| match header.kid {
            Some(kid) => entry.kid.as_deref() == Some(kid),
            // A single unusable key is chosen, so that the error tells why it is rejected.
            None => usable(entry) || self.entries.len() == 1,
        });
        let entry = candidates.next().ok_or(Error::KeyNotFound { named })?;
        if candidates.next().is_some() {
            return Err(match named {
                true => invalid("duplicate_kid", "has two keys with the token's kid"),
                false => Error::KeyNotFound { named },
            });
        }
        match &entry.key {
            Ok(key) if key.is_for(header.algorithm) => Ok(key),
            Ok(_) => Err(Error::KeyRejected { reason: KeyRejection::Algorithm }),
            Err(reason) => Err(Error::KeyRejected { reason: *reason }),
        }
    }

    /// Returns the rejection of each key, in the order of the set.
    #[cfg(fuzzing)]
    pub(crate) fn rejections(&self) -> Vec<Option<KeyRejection>> {
        self.entries.iter().map(|entry| entry.key.as_ref().err().copied()).collect()
    }
}

const PRIVATE_KEY: &str = "is a private key: remove it, and rotate it, since it may have leaked";
const NO_KEYS_ARRAY: &str = "has no array `keys`: expected { \"keys\": [ … ] }";

const fn invalid(reason: &'static str, problem: &'static str) -> Error {
    Error::JwksInvalid { reason, problem }
}

impl Entry {
    /// Returns `None` if the JWK is not an object.
    fn import(jwk: Value<'_>) -> Option<Self> {
        if !jwk.is_object() {
            return None;
        }
        let (kid, key) = match jwk.get("kid").map(Value::as_str) {
            None => (None, PublicKey::import(jwk)),
            Some(Some(kid)) => (Some(kid.to_string()), PublicKey::import(jwk)),
            Some(None) => (None, Err(KeyRejection::KeyId)),
        };
        Some(Self { kid, key })
    }
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.entries.iter().map(|entry| &entry.kid)).finish()
    }
}
