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
    /// A verifier that has no keys yet: it refuses each token that gets as far as needing one with
    /// [`Error::JwksUnavailable`].
    #[must_use]
    pub const fn new(policy: Policy) -> Self {
        Self { policy, keys: None }
    }

    /// A verifier with its keys.
    #[must_use]
    pub const fn with_keys(policy: Policy, keys: KeySet) -> Self {
        Self { policy, keys: Some(keys) }
    }

    /// Puts `keys` in the place of the key set in use. Keys that are gone verify nothing from now
    /// on.
    pub fn set_keys(&mut self, keys: KeySet) {
        self.keys = Some(keys);
    }

    /// Drops the key set: the verifier refuses as one that never had keys, until the next
    /// [`set_keys`](Self::set_keys).
    pub fn clear_keys(&mut self) {
        self.keys = None;
    }

    /// The policy that tokens are checked against.
    #[must_use]
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Checks everything: that `token` is well formed, signed by a key of the set, and that its
    /// claims are what the policy asks for at the time `now`, counted from the UNIX epoch.
    ///
    /// # Errors
    /// The earliest [`Stage`](crate::Stage) that refuses the token decides which [`Error`] it is.
    pub fn verify(&self, token: &str, now: Duration) -> Result<Verified, Error> {
        let signed = self.verify_signature(token)?;
        signed.validate(&self.policy, now)?;
        Ok(Verified(signed))
    }

    /// Checks all but the claims. What it gives says who signed the token, and not yet that the
    /// token is good for anything.
    ///
    /// # Errors
    /// Those of the stages up to [`Stage::Signature`](crate::Stage::Signature).
    pub fn verify_signature(&self, token: &str) -> Result<SignedToken, Error> {
        let compact = Compact::split(token, self.policy.max_token_bytes)?;
        let header = decode_json(Part::Header, compact.header)?;
        let payload = decode_json(Part::Payload, compact.payload)?;
        let signature = decode(Part::Signature, compact.signature)?;

        let parameters = Header::read(&header, &self.policy)?;
        let key = self.keys.as_ref().ok_or(Error::JwksUnavailable)?.choose(&parameters)?;
        signature::verify(key, compact.signing_input, &signature)?;
        Ok(SignedToken { header, payload })
    }
}

fn decode(part: Part, encoded: &str) -> Result<Vec<u8>, Error> {
    base64url::decode(encoded).map_err(|problem| Error::TokenMalformed { part, problem })
}

fn decode_json(part: Part, encoded: &str) -> Result<Document, Error> {
    Document::parse(decode(part, encoded)?)
        .map_err(|problem| Error::TokenMalformed { part, problem })
}

/// A token whose signature was checked and whose claims were not: it may be expired, or meant for
/// somebody else. Only [`Verifier::verify_signature`] makes one.
pub struct SignedToken {
    header: Document,
    payload: Document,
}

impl SignedToken {
    /// Checks the claims at the time `now`, counted from the UNIX epoch.
    ///
    /// # Errors
    /// Those of [`Stage::Claims`](crate::Stage::Claims).
    pub fn validate(&self, policy: &Policy, now: Duration) -> Result<(), Error> {
        validate::validate(&self.payload, policy, now)
    }

    /// The header as it stands in the token.
    #[must_use]
    pub fn header_json(&self) -> &str {
        self.header.text()
    }

    /// The payload as it stands in the token. It is authentic, and perhaps no longer (or not here)
    /// valid.
    #[must_use]
    pub fn payload_json(&self) -> &str {
        self.payload.text()
    }
}

/// A token that passed every check. Only [`Verifier::verify`] makes one.
pub struct Verified(SignedToken);

impl Verified {
    /// The header, a JSON object, as it stands in the token.
    #[must_use]
    pub fn header_json(&self) -> &str {
        self.0.header.text()
    }

    /// The payload, a JSON object, as it stands in the token: the place to deserialize claims of
    /// your own from.
    #[must_use]
    pub fn payload_json(&self) -> &str {
        self.0.payload.text()
    }

    /// The registered claims.
    #[must_use]
    pub fn claims(&self) -> Claims {
        validate::claims(&self.0.payload)
    }
}

// What a token says is personal data, and a habit of logging it with {:?} is soon formed.

impl fmt::Debug for SignedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedToken").finish_non_exhaustive()
    }
}

impl fmt::Debug for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verified").finish_non_exhaustive()
    }
}
