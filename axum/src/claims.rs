//! The extractor of claims.

use axum_core::extract::FromRequestParts;
use http::request::Parts;
use serde::de::DeserializeOwned;

use crate::{Error, layer::Passed, refusal::Refusal};

/// Extracts the claims of a token that passed a [`Guard`](crate::Guard), as a type of your own.
///
/// A token without a claim of the type, or with a claim that does not fit, is refused with 401: its
/// issuer did not make it for this service. Without a guard in front of the route, every request is
/// answered with 500.
///
/// ```
/// use countersign_axum::Claims;
///
/// #[derive(serde::Deserialize)]
/// struct Me {
///     sub: String,
/// }
///
/// async fn me(Claims(me): Claims<Me>) -> String {
///     me.sub
/// }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Claims<T>(pub T);

impl<S: Sync, T: DeserializeOwned> FromRequestParts<S> for Claims<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let passed = parts.extensions.get::<Passed>().ok_or_else(Refusal::without_guard)?;
        Ok(Self(passed.verified.claims_as().map_err(Error::from)?))
    }
}
