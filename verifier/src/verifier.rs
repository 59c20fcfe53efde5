//! The verifier: runs a token through every step, in order, with one policy and one key set.

use alloc::vec::Vec;
use core::{fmt, time::Duration};

use countersign_claims::{Claims, StatusReference};
use serde::Deserialize;

use crate::{
    Error, KeySet, Part, Policy, base64url,
    claims_as::claims_as,
    compact::Compact,
    error::{Refusal, boxed},
    header::Header,
    json::Document,
    signature, status_reference, validate,
};

/// Checks tokens against a policy and a key set. A service whose keys change while others verify uses
/// [`Policy::verify`] instead.
#[derive(Clone, Debug)]
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
        Ok(verify_signature(&self.policy, self.keys.as_ref(), token)?)
    }
}

/// Verification with keys that the caller holds and exchanges.
impl Policy {
    /// Checks everything, as [`Verifier::verify`] does, with `keys`.
    ///
    /// A server shares its keys among threads, and exchanges them while others verify:
    ///
    /// ```
    /// use std::{sync::{Arc, RwLock}, time::Duration};
    /// use countersign_verifier::{Error, KeySet, Policy, Verified};
    ///
    /// struct Shared {
    ///     policy: Policy,
    ///     keys: RwLock<Arc<KeySet>>,
    /// }
    ///
    /// impl Shared {
    ///     fn verify(&self, token: &str, now: Duration) -> Result<Verified, Error> {
    ///         // The lock is held only while the pointer is copied.
    ///         let keys = Arc::clone(&self.keys.read().unwrap());
    ///         self.policy.verify(&keys, token, now)
    ///     }
    ///
    ///     fn exchange(&self, jwks: &str) -> Result<(), Error> {
    ///         let keys = Arc::new(jwks.parse()?);
    ///         *self.keys.write().unwrap() = keys;
    ///         Ok(())
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    /// The error of the first [`Stage`](crate::Stage) that refuses the token.
    pub fn verify(&self, keys: &KeySet, token: &str, now: Duration) -> Result<Verified, Error> {
        verify_signature(self, Some(keys), token)?.validate(now)
    }

    /// Requires more scope tokens of a verified token, such as those of one route. They are read from
    /// the claim of [`with_scope_claim`](Self::with_scope_claim).
    ///
    /// # Errors
    /// [`Error::ScopeInsufficient`] if the token lacks one of them.
    pub fn require_scope(&self, verified: &Verified, scope: &str) -> Result<(), Error> {
        Ok(validate::require_scope(&verified.0.payload, self, scope)?)
    }
}

pub(crate) fn verify_signature<'a>(
    policy: &'a Policy,
    keys: Option<&KeySet>,
    token: &str,
) -> Result<SignedToken<'a>, Refusal> {
    let compact = Compact::split(token, policy.max_token_bytes())?;
    let header = decode_json(Part::Header, compact.header)?;
    let payload = decode_json(Part::Payload, compact.payload)?;
    let signature = decode(Part::Signature, compact.signature)?;

    let parameters = Header::read(&header, policy)?;
    let key = keys.ok_or_else(|| boxed(Error::JwksUnavailable))?.choose(&parameters)?;
    if !signature::verify(parameters.algorithm, key, compact.signing_input, &signature) {
        return Err(boxed(Error::SignatureInvalid { nonce: header.get("nonce").is_some() }));
    }
    Ok(SignedToken { policy, token: Token { header, payload } })
}

fn decode(part: Part, encoded: &str) -> Result<Vec<u8>, Refusal> {
    base64url::decode(encoded).map_err(|problem| boxed(Error::TokenMalformed { part, problem }))
}

fn decode_json(part: Part, encoded: &str) -> Result<Document, Refusal> {
    Document::parse(decode(part, encoded)?)
        .map_err(|problem| boxed(Error::TokenMalformed { part, problem }))
}

/// A token with a good signature and unchecked claims: it may be expired, or meant for somebody
/// else. Only [`Verifier::verify_signature`] makes one. It holds the verifier's policy, so its
/// header and its claims are checked against the same one.
pub struct SignedToken<'a> {
    policy: &'a Policy,
    token: Token,
}

/// A token's decoded header and payload.
#[derive(Clone)]
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

    /// Returns the payload of a token that the policy's claims are not for.
    #[cfg(feature = "status-list")]
    pub(crate) const fn payload(&self) -> &Document {
        &self.token.payload
    }

    /// Returns the payload, a JSON object, as it stands in the token. It is authentic, but may not
    /// be valid.
    #[must_use]
    pub fn payload_json(&self) -> &str {
        self.token.payload.text()
    }
}

/// A token that passed every check. Only [`SignedToken::validate`] makes one, and
/// [`Verifier::verify`] and [`Policy::verify`] by calling it.
#[derive(Clone)]
pub struct Verified(Token);

impl Verified {
    /// Returns the header, a JSON object, as it stands in the token.
    #[must_use]
    pub fn header_json(&self) -> &str {
        self.0.header.text()
    }

    /// Returns the payload, a JSON object, as it stands in the token.
    #[must_use]
    pub fn payload_json(&self) -> &str {
        self.0.payload.text()
    }

    /// Returns the token's status index in a status list, if it has one (draft-ietf-oauth-status-list
    /// §6.2). The token names the list's URL itself: fetch it only from origins that you trust.
    ///
    /// # Errors
    /// [`Error::ClaimInvalid`] if the claim `status` is malformed.
    pub fn status_reference(&self) -> Result<Option<StatusReference>, Error> {
        Ok(status_reference::read(&self.0.payload)?)
    }

    /// Returns the registered claims.
    #[must_use]
    pub fn claims(&self) -> Claims {
        validate::claims(&self.0.payload)
    }

    /// Returns the claims as a type of your own. Other claims of the token are ignored.
    ///
    /// # Errors
    /// [`Error::ClaimMissing`] if a claim of the type is not in the token, and
    /// [`Error::ClaimInvalid`] if its value does not fit. Unlike the messages of `serde_json`, they
    /// never quote the value.
    pub fn claims_as<'a, T: Deserialize<'a>>(&'a self) -> Result<T, Error> {
        claims_as(&self.0.payload)
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
