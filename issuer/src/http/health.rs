use hyper::StatusCode;
use serde_json::json;

use super::reply::{self, ApiError, Reply};
use super::{Call, Shared};

/// `GET /healthz/live`: the process answers.
pub(super) async fn live(_: Shared, _: Call) -> Result<Reply, ApiError> {
    Ok(reply::json(StatusCode::OK, &json!({ "status": "ok" })))
}

/// `GET /healthz/ready`: logins and refreshes would be answered.
pub(super) async fn ready(state: Shared, _: Call) -> Result<Reply, ApiError> {
    state.store.ping().await?;
    state.clock_is_sane().then_some(()).ok_or_else(ApiError::clock_behind)?;
    state.keys.signer().ok_or_else(ApiError::no_signing_key)?;
    Ok(reply::json(StatusCode::OK, &json!({ "status": "ok" })))
}
