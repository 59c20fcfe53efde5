use std::pin::Pin;

use hyper::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::reply::{self, ApiError, ErrorBody, Reply};
use super::{Call, Shared};

#[derive(Serialize, ToSchema)]
pub(super) struct Health {
    #[schema(example = "ok")]
    status: &'static str,
}

const OK: Health = Health { status: "ok" };

/// `GET /healthz/live`: the process answers.
#[utoipa::path(
    get,
    path = "/healthz/live",
    tag = "health",
    summary = "Whether the process answers",
    responses((status = 200, description = "It does.", body = Health)),
)]
pub(super) async fn live(_: Shared, _: Call) -> Result<Reply, ApiError> {
    Ok(reply::json(StatusCode::OK, &OK))
}

/// `GET /healthz/ready`: logins and refreshes would be answered.
#[utoipa::path(
    get,
    path = "/healthz/ready",
    tag = "health",
    summary = "Whether logins and refreshes would be answered",
    responses(
        (status = 200, description = "They would.", body = Health),
        (
            status = 503,
            description = "Database or keys cannot be had.",
            body = ErrorBody,
            headers(("Retry-After" = u64, description = "Seconds to wait")),
        ),
    ),
)]
pub(super) async fn ready(state: Shared, _: Call) -> Result<Reply, ApiError> {
    let failing = failing(&state).await;
    if failing.is_empty() {
        return Ok(reply::json(StatusCode::OK, &OK));
    }
    let lines: Vec<_> =
        failing.iter().map(|(name, e)| format!("{name}: {}", e.description())).collect();
    Err(ApiError::unavailable(&lines.join("; ")))
}

type Check = for<'a> fn(&'a Shared) -> Checked<'a>;
type Checked<'a> = Pin<Box<dyn Future<Output = Result<(), ApiError>> + Send + 'a>>;

/// What must hold for that, by name.
const CHECKS: [(&str, Check); 3] = [
    ("database", |state| Box::pin(async { Ok(state.store.ping().await?) })),
    ("clock", |state| {
        Box::pin(async { state.clock_is_sane().then_some(()).ok_or_else(ApiError::clock_behind) })
    }),
    ("signing_key", |state| {
        Box::pin(async { state.keys.signer().map(drop).ok_or_else(ApiError::no_signing_key) })
    }),
];

/// The checks that do not pass now. What each has found is in the metrics afterwards.
pub(super) async fn failing(state: &Shared) -> Vec<(&'static str, ApiError)> {
    let mut failing = Vec::new();
    for (name, check) in CHECKS {
        let result = check(state).await;
        state.metrics.set_ready(name, result.is_ok());
        failing.extend(result.err().map(|e| (name, e)));
    }
    failing
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Clock, Config, DatabaseUrl, Limits, State};

    #[tokio::test]
    async fn the_answer_and_the_metrics_name_the_check_that_fails() {
        let folder = tempfile::TempDir::new().unwrap();
        let config = Config {
            database: DatabaseUrl::Sqlite(folder.path().join("x.db")),
            ..Config::default()
        };
        let (address, clock) = (config.listen, Clock::system());
        let State(state) = State::open(config, address, Limits::default(), clock).await.unwrap();
        let line = |check: &str, value| format!("countersign_ready{{check=\"{check}\"}} {value}\n");
        assert!(failing(&state).await.is_empty());
        assert!(state.metrics.text(&state).unwrap().contains(&line("signing_key", 1)));

        state.keys.age();
        let (name, e) = failing(&state).await.pop().unwrap();
        assert_eq!((name, e.description()), ("signing_key", "the signing keys cannot be read"));
        let text = state.metrics.text(&state).unwrap();
        assert!(text.contains(&line("signing_key", 0)) && text.contains(&line("database", 1)));
        let call = Call {
            path: "/healthz/ready".to_owned(),
            headers: hyper::HeaderMap::new(),
            client: [127, 0, 0, 1].into(),
            body: bytes::Bytes::new(),
        };
        let refused = ready(state, call).await.unwrap_err();
        assert_eq!(refused.description(), "signing_key: the signing keys cannot be read");
    }
}
