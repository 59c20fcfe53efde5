use alloc::{
    string::{String, ToString},
    vec::Vec,
};

use crate::{
    Error, KeyRejection,
    algorithm::RS256,
    header::Header,
    json::{Document, Value},
    key::PublicKey,
};

/// The most keys in a set. An issuer needs two or three; the bound keeps the import, and the look
/// for a key, short.
const MAX_KEYS: usize = 64;

/// A JWK Set (RFC 7517 §5), its keys imported.
///
/// Keys that cannot be used (of another type, for another use, too short…) do not spoil the set;
/// they are refused when a token names them.
pub struct KeySet {
    entries: Vec<Entry>,
}

struct Entry {
    kid: Option<String>,
    key: Result<PublicKey, KeyRejection>,
}

impl KeySet {
    /// Reads a JWK Set document and imports its keys: the work that depends on a key alone is done
    /// here, once, and not for each token.
    ///
    /// # Errors
    /// [`Error::JwksInvalid`] for text that is not strict JSON, has no array `keys`, has more than
    /// 64 keys, or keys that are not objects.
    pub fn from_json(jwks: &str) -> Result<Self, Error> {
        let invalid = |reason, problem| Error::JwksInvalid { reason, problem };
        let document = Document::parse(jwks.as_bytes().to_vec())
            .map_err(|problem| invalid("json", problem))?;
        let keys = document.get("keys").and_then(Value::as_array).ok_or_else(|| match document
            .get("d")
        {
            Some(_) => invalid(
                "private_key",
                "is a private key: remove it, and rotate it, since it may have leaked",
            ),
            None => invalid("no_keys_array", "has no array `keys`: expected { \"keys\": [ … ] }"),
        })?;
        if keys.len() > MAX_KEYS {
            return Err(invalid("too_many_keys", "has more than 64 keys"));
        }
        let entries = keys.map(Entry::import).collect::<Option<_>>();
        Ok(Self {
            entries: entries
                .ok_or_else(|| invalid("key_not_object", "has a key that is not an object"))?,
        })
    }

    /// The key for a token: exactly the one that its header names, or, where it names none, the
    /// set's only usable one.
    pub(crate) fn choose(&self, header: &Header<'_>) -> Result<&PublicKey, Error> {
        let named = header.kid.is_some();
        let mut candidates = self.entries.iter().filter(|entry| match header.kid {
            Some(kid) => entry.kid.as_deref() == Some(kid),
            None => entry.key.is_ok() || self.entries.len() == 1,
        });
        let entry = candidates.next().ok_or(Error::KeyNotFound { named })?;
        if candidates.next().is_some() {
            return Err(match named {
                true => Error::JwksInvalid {
                    reason: "duplicate_kid",
                    problem: "has two keys with the token's kid",
                },
                false => Error::KeyNotFound { named },
            });
        }
        entry.key.as_ref().map_err(|&reason| Error::KeyRejected { reason })
    }

    /// What was made of each key, in the order of the set.
    #[cfg(fuzzing)]
    pub(crate) fn rejections(&self) -> Vec<Option<KeyRejection>> {
        self.entries.iter().map(|entry| entry.key.as_ref().err().copied()).collect()
    }
}

impl Entry {
    fn import(jwk: Value<'_>) -> Option<Self> {
        if !jwk.is_object() {
            return None;
        }
        let (kid, key) = match jwk.get("kid").map(Value::as_str) {
            None => (None, PublicKey::import(jwk, &RS256)),
            Some(Some(kid)) => (Some(kid.to_string()), PublicKey::import(jwk, &RS256)),
            Some(None) => (None, Err(KeyRejection::KeyId)),
        };
        Some(Self { kid, key })
    }
}

impl core::fmt::Debug for KeySet {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_list().entries(self.entries.iter().map(|entry| &entry.kid)).finish()
    }
}
