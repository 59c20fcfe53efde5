//! The verifier: runs a token through every step, in order, with one policy and one key set.

use alloc::vec::Vec;
use core::{fmt, time::Duration};

use countersign_claims::Claims;

use crate::{
    Error, KeySet, Part, Policy, base64url, compact::Compact, header::Header, json::Document,
    signature, validate,
};

/// Checks tokens against a policy and a key set.
#[derive(Debug)]
pub struct Verifier {
    policy: Policy,
    keys: Option<KeySet>,
}

impl Verifier {
    /// Makes a verifier without keys. It refuses every token that gets as far as needing a key,
    /// with [`Error::JwksUnavailable`].
    #[must_use]
    pub const fn new(policy: Policy) -> Self {
        Self { policy, keys: None }
    }

    /// Makes a verifier with its keys.
    #[must_use]
    pub const fn with_keys(policy: Policy, keys: KeySet) -> Self {
        Self { policy, keys: Some(keys) }
    }

    /// Replaces the key set. Keys that the new set lacks verify nothing from now on.
    pub fn set_keys(&mut self, keys: KeySet) {
        self.keys = Some(keys);
    }

    /// Drops the key set. Until the next [`set_keys`](Self::set_keys), the verifier refuses tokens
    /// like one that never had keys.
    pub fn clear_keys(&mut self) {
        self.keys = None;
    }

    /// Returns true if there is a key set, and
    /// [one of its keys can check a token](KeySet::has_usable_keys).
    #[must_use]
    pub fn has_usable_keys(&self) -> bool {
        self.keys.as_ref().is_some_and(KeySet::has_usable_keys)
    }

    /// Checks everything: the form of the token, its signature by a key of the set, and its claims
    /// at the time `now`, counted from the UNIX epoch.
    ///
    /// # Errors
    /// The error of the first [`Stage`](crate::Stage) that refuses the token.
    pub fn verify(&self, token: &str, now: Duration) -> Result<Verified, Error> {
        self.verify_signature(token)?.validate(now)
    }

    /// Checks everything except the claims. The result proves who signed the token, not that the
    /// token is valid.
    ///
    /// # Errors
    /// Those of the stages up to [`Stage::Signature`](crate::Stage::Signature).
    pub fn verify_signature(&self, token: &str) -> Result<SignedToken<'_>, Error> {
        let compact = Compact::split(token, self.policy.max_token_bytes)?;
        let header = decode_json(Part::Header, compact.header)?;
        let payload = decode_json(Part::Payload, compact.payload)?;
        let signature = decode(Part::Signature, compact.signature)?;

        let parameters = Header::read(&header, &self.policy)?;
        let key = self.keys.as_ref().ok_or(Error::JwksUnavailable)?.choose(&parameters)?;
        if !signature::verify(parameters.algorithm, key, compact.signing_input, &signature) {
            return Err(Error::SignatureInvalid { nonce: header.get("nonce").is_some() });
        }
        Ok(SignedToken { policy: &self.policy, token: Token { header, payload } })
    }
}

fn decode(part: Part, encoded: &str) -> Result<Vec<u8>, Error> {
    base64url::decode(encoded).map_err(|problem| Error::TokenMalformed { part, problem })
}

fn decode_json(part: Part, encoded: &str) -> Result<Document, Error> {
    Document::parse(decode(part, encoded)?)
        .map_err(|problem| Error::TokenMalformed { part, problem })
}

/// A token with a good signature and unchecked claims: it may be expired, or meant for somebody
/// else. Only [`Verifier::verify_signature`] makes one. It holds the verifier's policy, so its
/// header and its claims are checked against the same one.
pub struct SignedToken<'a> {
    policy: &'a Policy,
    token: Token,
}

/// A token's decoded header and payload.
struct Token {
    header: Document,
    payload: Document,
}

impl SignedToken<'_> {
    /// Checks the claims at the time `now`, counted from the UNIX epoch.
    ///
    /// # Errors
    /// Those of [`Stage::Claims`](crate::Stage::Claims).
    pub fn validate(self, now: Duration) -> Result<Verified, Error> {
        validate::validate(&self.token.payload, self.policy, now)?;
        Ok(Verified(self.token))
    }

    /// Returns the header, a JSON object, as it stands in the token.
    #[must_use]
    pub fn header_json(&self) -> &str {
        self.token.header.text()
    }

    /// Returns the payload, a JSON object, as it stands in the token. It is authentic, but may not
    /// be valid.
    #[must_use]
    pub fn payload_json(&self) -> &str {
        self.token.payload.text()
    }
}

/// A token that passed every check. Only [`SignedToken::validate`] makes one, and
/// [`Verifier::verify`] by calling it.
pub struct Verified(Token);

impl Verified {
    /// Returns the header, a JSON object, as it stands in the token.
    #[must_use]
    pub fn header_json(&self) -> &str {
        self.0.header.text()
    }

    /// Returns the payload, a JSON object, as it stands in the token. Deserialize your own claims
    /// from it.
    #[must_use]
    pub fn payload_json(&self) -> &str {
        self.0.payload.text()
    }

    /// Returns the registered claims.
    #[must_use]
    pub fn claims(&self) -> Claims {
        validate::claims(&self.0.payload)
    }
}

// The contents of a token are personal data. They must not reach a log through `{:?}`.

impl fmt::Debug for SignedToken<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedToken").finish_non_exhaustive()
    }
}

impl fmt::Debug for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verified").finish_non_exhaustive()
    }
}
