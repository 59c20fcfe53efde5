//! The answer of `/login` and `/token`.

use hyper::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::cookie::Cookies;
use super::reply::{self, Reply};
use crate::service::Grant;

/// The way in which the client gets its refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ToSchema)]
#[schema(as = Session)]
pub(super) enum Delivery {
    #[schema(rename = "token")]
    Body,
    #[schema(rename = "cookie")]
    Cookie,
}

/// Tokens for the client (RFC 6749 §5.1).
#[derive(Serialize, ToSchema)]
pub(super) struct Tokens<'a> {
    /// A JWT (RFC 9068).
    #[schema(example = "eyJ0eXAi…")]
    access_token: &'a str,
    #[schema(example = "Bearer")]
    token_type: &'a str,
    /// The seconds that the access token lives.
    #[schema(example = 900)]
    expires_in: u64,
    /// Works once: each refresh returns the next one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "AVbk…")]
    refresh_token: Option<&'a str>,
    /// The seconds until the refresh token expires.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 604_800)]
    refresh_expires_in: Option<u64>,
    #[schema(example = "read write")]
    scope: &'a str,
    /// After the login that has set up the first second factor: each lets the user in once without it.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    #[schema(value_type = Option<Vec<String>>, nullable = false, example = json!(["K7QD-…"]))]
    recovery_codes: &'a [Zeroizing<String>],
}

/// Returns the answer. With [`Delivery::Cookie`] only the cookie has the refresh token.
pub(super) fn tokens(grant: &Grant, delivery: Delivery, cookies: &Cookies) -> Reply {
    with_codes(grant, delivery, cookies, &[])
}

/// Returns the answer, with new recovery codes.
pub(super) fn with_codes(
    grant: &Grant,
    delivery: Delivery,
    cookies: &Cookies,
    recovery_codes: &[Zeroizing<String>],
) -> Reply {
    let refresh = grant.refresh.as_ref();
    let in_body = refresh.filter(|_| delivery == Delivery::Body);
    let body = Tokens {
        access_token: &grant.access_token,
        token_type: "Bearer",
        expires_in: grant.expires_in,
        refresh_token: in_body.map(|refresh| refresh.token.as_str()),
        refresh_expires_in: refresh.map(|refresh| refresh.expires_in),
        scope: &grant.scope,
        recovery_codes,
    };
    let mut reply = reply::json(StatusCode::OK, &body);
    if delivery == Delivery::Cookie
        && let Some(refresh) = refresh
    {
        cookies.set(&mut reply, &refresh.token, refresh.expires_in);
    }
    reply
}
