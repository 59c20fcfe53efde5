use std::sync::Arc;
use std::sync::atomic::Ordering;

use hyper::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::reply::{self, ApiError, ErrorBody, Reply};
use super::{Api, Call, LIVE};

#[derive(Serialize, ToSchema)]
pub(super) struct Health {
    #[schema(example = "ok")]
    status: &'static str,
}

const OK: Health = Health { status: "ok" };

/// `GET /healthz/live`: liveness.
#[utoipa::path(
    get,
    path = "/healthz/live",
    tag = "health",
    summary = "Liveness: the process answers",
    responses((status = 200, description = "The process answers.", body = Health)),
)]
pub(super) async fn live(_: Arc<Api>, _: Call) -> Result<Reply, ApiError> {
    Ok(reply::json(StatusCode::OK, &OK))
}

/// `GET /healthz/ready`: readiness.
#[utoipa::path(
    get,
    path = "/healthz/ready",
    tag = "health",
    summary = "Readiness: logins and refreshes would succeed",
    responses(
        (status = 200, description = "The database and the keys can be used.", body = Health),
        (
            status = 503,
            description = "A check fails, or the issuer is starting or stopping; the description says which.",
            body = ErrorBody,
            headers(("Retry-After" = u64, description = "Seconds to wait")),
        ),
    ),
)]
pub(super) async fn ready(api: Arc<Api>, _: Call) -> Result<Reply, ApiError> {
    if api.edge.is_stopping.load(Ordering::Relaxed) {
        return Err(ApiError::unavailable("the issuer is stopping"));
    }
    let failing = api.issuer.failing_checks().await;
    if failing.is_empty() {
        return Ok(reply::json(StatusCode::OK, &OK));
    }
    let lines: Vec<_> = failing.iter().map(|(name, e)| format!("{name}: {e}")).collect();
    Err(ApiError::unavailable(&lines.join("; ")))
}

/// Answers a request to any endpoint while the issuer opens its database, or waits for it.
pub(super) fn before_open(path: &str) -> Reply {
    match path {
        LIVE => reply::json(StatusCode::OK, &OK),
        _ => ApiError::unavailable("the issuer is starting: its database is not open yet").reply(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::Issuer;

    #[tokio::test]
    async fn the_answer_names_the_check_that_fails() {
        let folder = tempfile::TempDir::new().unwrap();
        let issuer = Issuer::for_tests(&folder).await;
        issuer.keys.age();
        let call = Call { path: "/healthz/ready".to_owned(), ..Call::for_tests() };
        let refused = ready(Api::for_tests(issuer), call).await.unwrap_err();
        assert_eq!(refused.description(), "signing_key: the signing keys cannot be read");
    }
}
