//! A policy with its keys, wherever they come from.

use std::{fmt, sync::Arc};

use countersign_verifier::{
    Error as VerifyError, KeySet, Policy, Stage, Verified, Verifier, scope, unverified_key_id,
};

use crate::{
    Error,
    remote_keys::{Clock, RemoteKeys, Renewed},
};

/// Verifies the access tokens of requests. A clone shares policy and keys with its original.
///
/// It is a [`Layer`](tower_layer::Layer) that guards routes. Services that are not made of routes
/// call [`verify`](Self::verify). [`Guard::builder`] makes one.
#[derive(Clone)]
pub struct Guard {
    shared: Arc<Shared>,
    /// Space-delimited, or empty.
    scope: Arc<str>,
}

struct Shared {
    policy: Policy,
    keys: Keys,
    clock: Clock,
}

pub(crate) enum Keys {
    /// They are never fetched.
    Given(Box<KeySet>),
    Remote(Arc<RemoteKeys>),
}

impl Guard {
    pub(crate) fn new(policy: Policy, keys: Keys, clock: Clock) -> Self {
        Self { shared: Arc::new(Shared { policy, keys, clock }), scope: "".into() }
    }

    /// Returns a guard that also requires these scope tokens, space-delimited, besides those of the
    /// policy. It shares policy and keys with this one.
    ///
    /// # Errors
    /// `options_invalid` for a scope that does not follow RFC 6749 §3.3.
    pub fn with_scope(&self, scope: &str) -> Result<Self, Error> {
        if !scope::is_well_formed(scope) {
            let problem = "is not made of scope tokens (RFC 6749 section 3.3)";
            return Err(VerifyError::OptionsInvalid { option: "scope".into(), problem }.into());
        }
        Ok(Self { shared: Arc::clone(&self.shared), scope: scope.into() })
    }

    /// Verifies a token at the current time. Fetches keys if they can change the verdict, never for a
    /// malformed token. Needs a tokio runtime, like axum.
    ///
    /// # Errors
    /// [`Error::Refused`] by the verifier, and [`Error::NoKeys`] if there are no keys and they could
    /// not be fetched.
    pub async fn verify(&self, token: &str) -> Result<Verified, Error> {
        let verified = self.authenticate(token).await?;
        self.authorize(&verified)?;
        Ok(verified)
    }

    /// Fetches the key set now, even if a failed fetch is not long ago. Does nothing if the keys were
    /// given.
    ///
    /// # Errors
    /// [`Error::NoKeys`] if that fails. Keys that are in use stay in use.
    pub async fn refresh(&self) -> Result<(), Error> {
        match &self.shared.keys {
            Keys::Given(_) => Ok(()),
            Keys::Remote(remote) => Ok(remote.refresh().await?),
        }
    }

    /// Checks everything except the scope of this guard.
    pub(crate) async fn authenticate(&self, token: &str) -> Result<Verified, Error> {
        let remote = match &self.shared.keys {
            Keys::Given(keys) => return Ok(self.verify_with(Some(keys), token)?),
            Keys::Remote(remote) => remote,
        };
        loop {
            let keys = remote.current();
            let verdict = self.verify_with(keys.as_deref(), token);
            let missing = match &verdict {
                // No key can save a token that was refused before its key mattered.
                Err(error) if error.stage() < Stage::Key => return Ok(verdict?),
                Err(VerifyError::KeyNotFound { .. }) => {
                    Some(unverified_key_id(token).unwrap_or_default())
                }
                _ => None,
            };
            match remote.renew(keys.as_ref(), missing.as_deref()).await? {
                Renewed::No => return settle(remote, verdict),
                Renewed::ByOthers => {}
                Renewed::Now => {
                    let verdict = self.verify_with(remote.current().as_deref(), token);
                    return settle(remote, verdict);
                }
            }
        }
    }

    /// Checks the scope of this guard.
    pub(crate) fn authorize(&self, verified: &Verified) -> Result<(), VerifyError> {
        self.shared.policy.require_scope(verified, &self.scope)
    }

    /// Returns true if both have the same policy and keys.
    pub(crate) fn shares_with(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    fn verify_with(&self, keys: Option<&KeySet>, token: &str) -> Result<Verified, VerifyError> {
        let Shared { policy, clock, .. } = &*self.shared;
        match keys {
            Some(keys) => policy.verify(keys, token, clock()),
            None => Verifier::new(policy.clone()).verify(token, clock()),
        }
    }
}

/// Returns the verdict, or the reason why there can be none.
fn settle(remote: &RemoteKeys, verdict: Result<Verified, VerifyError>) -> Result<Verified, Error> {
    if let Err(VerifyError::KeyNotFound { .. }) = verdict
        && let Some(outage) = remote.outage()
    {
        return Err(outage.into());
    }
    Ok(verdict?)
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let policy = &self.shared.policy;
        f.debug_struct("Guard")
            .field("policy", policy)
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}
