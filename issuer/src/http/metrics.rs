use std::sync::Arc;

use hyper::StatusCode;

use super::reply::{self, ApiError, Reply};
use super::{Api, Call};
use crate::metrics::MEDIA_TYPE;

/// `GET /metrics` at the admin listener. Runs the checks of `/healthz/ready`, so that the metrics
/// have their results.
pub(super) async fn metrics(api: Arc<Api>, _: Call) -> Result<Reply, ApiError> {
    // Otherwise the maintenance checks once a minute.
    if api.issuer.polling.is_awake() {
        api.issuer.failing_checks().await;
    }
    let text = api.issuer.metrics_text((api.certificate)())?;
    Ok(reply::typed(StatusCode::OK, MEDIA_TYPE, text.into()))
}
