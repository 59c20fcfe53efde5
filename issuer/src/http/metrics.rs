use hyper::StatusCode;

use super::reply::{self, ApiError, Reply};
use super::{Call, Shared, health};
use crate::metrics::MEDIA_TYPE;

/// `GET /metrics` at the admin listener. What `/healthz/ready` looks at is looked at now.
pub(super) async fn metrics(state: Shared, _: Call) -> Result<Reply, ApiError> {
    health::failing(&state).await;
    let text = state.metrics.text(&state)?;
    Ok(reply::typed(StatusCode::OK, MEDIA_TYPE, text.into()))
}
