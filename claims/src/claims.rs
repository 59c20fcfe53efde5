//! The claims of an access token.

use alloc::string::String;

use serde::{Deserialize, Serialize};

use crate::{Audience, NumericDate, Status};

/// The claims of a JWT access token that Countersign knows: the registered claims of RFC 7519 §4.1,
/// those of RFC 9068 §2.2 for access tokens, and the reference to a status list.
///
/// Each claim is optional, because the type describes any token. The verifier's policy decides
/// which are required. Unknown members are ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Claims {
    /// Issuer (RFC 7519 §4.1.1): compared byte for byte, even if it is a URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iss: Option<String>,
    /// Subject (RFC 7519 §4.1.2): unique within the issuer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sub: Option<String>,
    /// Audience (RFC 7519 §4.1.3): the recipients of the token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aud: Option<Audience>,
    /// The OAuth client that the token was issued to (RFC 8693 §4.3).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// The scope: space-delimited scope tokens (RFC 8693 §4.2; see [`crate::scope`]).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// Issued at (RFC 7519 §4.1.6).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iat: Option<NumericDate>,
    /// Not before (RFC 7519 §4.1.5): the first instant at which the token is valid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nbf: Option<NumericDate>,
    /// Expiration time (RFC 7519 §4.1.4): the first instant at which the token is no longer valid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exp: Option<NumericDate>,
    /// JWT ID (RFC 7519 §4.1.7): unique for each token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jti: Option<String>,
    /// Session ID: the login that led to the token (registered by OpenID Connect
    /// Front-Channel Logout §3).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sid: Option<String>,
    /// Status: the reference to the token's revocation status (draft-ietf-oauth-status-list §6).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
}
