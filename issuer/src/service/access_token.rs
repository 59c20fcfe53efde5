//! Access tokens (RFC 9068): minted, and read again where somebody presents one.

use countersign_claims::{Audience, Claims, NumericDate, Status, StatusReference};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Issuer, ServiceError};
use crate::authentication::Authentication;
use crate::crypto;
use crate::custom_claims::CustomClaims;
use crate::status::StatusIndex;

/// The claims of one access token that differ from those of others.
pub(super) struct Access<'a> {
    pub(super) sub: &'a str,
    pub(super) audience: &'a Audience,
    pub(super) client_id: &'a str,
    /// Of a user's session; a client has none.
    pub(super) sid: Option<String>,
    pub(super) status: Option<StatusIndex>,
    /// The authentication of the session's user, if the token names it.
    pub(super) authentication: Option<&'a Authentication>,
    pub(super) scope: &'a str,
    /// Of the user, or of the client.
    pub(super) own: &'a CustomClaims,
}

/// The claims of an access token that was read.
#[derive(Deserialize)]
pub(crate) struct ReadClaims {
    #[serde(flatten)]
    pub(crate) claims: Claims,
    /// All others: custom claims.
    #[serde(flatten)]
    pub(crate) own: Map<String, Value>,
}

#[derive(Serialize)]
struct WithAuthentication<'a> {
    #[serde(flatten)]
    claims: &'a Claims,
    #[serde(flatten)]
    authentication: &'a AuthenticationClaims<'a>,
}

/// The claims of an authentication (RFC 9068 §2.2.1).
#[derive(Serialize)]
struct AuthenticationClaims<'a> {
    auth_time: u64,
    acr: &'static str,
    amr: Vec<&'a str>,
}

impl<'a> AuthenticationClaims<'a> {
    fn of(authentication: &'a Authentication) -> Self {
        let amr = authentication.amr().collect();
        Self { auth_time: authentication.at, acr: authentication.acr(), amr }
    }
}

impl Issuer {
    /// Signs an access token (RFC 9068 §2.2).
    ///
    /// The key is looked up here and not when the request begins: a request can wait for a hash or
    /// the database for as long as a key may go on signing after it was retired or revoked.
    pub(super) fn access_token(
        &self,
        Access { sub, audience, client_id, sid, status, authentication, scope, own }: Access<'_>,
        now: u64,
    ) -> Result<String, ServiceError> {
        let signer = self.keys.signer().ok_or(ServiceError::NoSigningKey)?;
        let status = status.filter(|_| self.config.status_lists).map(|status| Status {
            status_list: Some(StatusReference {
                idx: status.index.into(),
                uri: self.url.status_list(status.list),
            }),
        });
        let claims = Claims {
            iss: Some(self.url.as_str().to_owned()),
            sub: Some(sub.to_owned()),
            aud: Some(audience.clone()),
            client_id: Some(client_id.to_owned()),
            scope: (!scope.is_empty()).then(|| scope.to_owned()),
            iat: Some(NumericDate::from_seconds(now)),
            exp: Some(NumericDate::from_seconds(now + self.config.access_ttl.as_secs())),
            jti: Some(crypto::random_id()?),
            sid,
            status,
            ..Claims::default()
        };
        let authentication = authentication.map(AuthenticationClaims::of);
        let sign = || match &authentication {
            None => signer.sign_access_token(&claims, own),
            Some(authentication) => signer
                .sign_access_token(&WithAuthentication { claims: &claims, authentication }, own),
        };
        Ok(self.metrics.sign_seconds.observe_closure_duration(sign)?)
    }

    /// Returns the claims of an access token of this issuer that has not expired. Its session may
    /// have ended.
    pub(super) async fn unexpired_access_token(&self, token: &str) -> Option<ReadClaims> {
        self.polling.freshen().await;
        let read: ReadClaims = serde_json::from_value(self.keys.open_access_token(token)?).ok()?;
        let is_ours = read.claims.iss.as_deref() == Some(self.url.as_str());
        let now = NumericDate::from_seconds(self.clock_guard.latest_time());
        (is_ours && read.claims.exp.is_some_and(|exp| now < exp)).then_some(read)
    }
}
