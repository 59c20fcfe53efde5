//! Refreshes (RFC 6749 §6): a refresh token for its successor and a new access token.

use std::net::IpAddr;

use super::{Grant, Issuer, Requested, ServiceError};
use crate::session::{Refresh, RefreshToken, Verdict};

/// A refresh token that a client presents.
pub(crate) struct RefreshRequest<'a> {
    pub(crate) token: &'a str,
    pub(crate) client_id: Option<&'a str>,
    pub(crate) requested: Requested<'a>,
    /// The most seconds since the last authentication of the user.
    pub(crate) max_age: Option<u64>,
    /// The address of the client.
    pub(crate) client: IpAddr,
}

impl Issuer {
    /// Moves the session on to its next refresh token.
    pub(crate) async fn refresh(
        &self,
        RefreshRequest { token, client_id, requested, max_age, client }: RefreshRequest<'_>,
    ) -> Result<Grant, ServiceError> {
        let results = &self.metrics.refreshes;
        let refused = || {
            results.refused.inc();
            ServiceError::InvalidRefreshToken
        };
        self.check_client_id(client_id).inspect_err(|_| results.refused.inc())?;
        let approved = self.approve_for_session(&requested)?;
        let token = RefreshToken::decode(token, &self.refresh_key).ok_or_else(refused)?;
        // Before the token is used up: a client that comes back after the grace period would lose
        // its session.
        if let Err(e) = self.require_issuing().await {
            // A client whose session has ended need not try again.
            return Err(self.live_session(token.session).await?.map_or_else(refused, |_| e));
        }
        let refresh = Refresh {
            token,
            network: self.network(client),
            scope: approved.scope.clone(),
            max_age,
            now: self.clock_guard.latest_time(),
            lifetimes: self.lifetimes(),
            candidates: self.candidates()?,
        };
        let verdict = self.store.refresh(refresh).await?;
        match &verdict {
            Verdict::Rotate(_) => &results.rotated,
            Verdict::Repeat { .. } => &results.repeated,
            Verdict::Reuse => &results.reused,
            Verdict::Refuse => &results.refused,
            Verdict::ScopeTooWide => &results.scope_too_wide,
            Verdict::TooOld { .. } => &results.too_old,
        }
        .inc();
        match verdict {
            Verdict::Rotate(session) | Verdict::Repeat { session, .. } => {
                self.grant_session(&session, &approved, max_age.is_some(), self.clock.now())
            }
            Verdict::Reuse => {
                tracing::warn!("a replaced refresh token was used; its session is ended");
                Err(ServiceError::InvalidRefreshToken)
            }
            Verdict::Refuse => Err(ServiceError::InvalidRefreshToken),
            Verdict::ScopeTooWide => Err(ServiceError::ScopeExceedsSession),
            Verdict::TooOld { max_age } => {
                Err(ServiceError::InsufficientAuthentication { max_age })
            }
        }
    }
}
