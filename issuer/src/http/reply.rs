use std::time::Duration;

use bytes::Bytes;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

use crate::service::admin::Access;
use crate::service::{Asked, ServiceError};

/// The answer of a handler.
pub(crate) type Reply = Response<Bytes>;

/// Returns a reply with `body` as JSON.
pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Reply {
    typed(status, "application/json", serde_json::to_vec(body).unwrap_or_default().into())
}

/// Returns a reply with a body of this media type.
pub(super) fn typed(status: StatusCode, media_type: &'static str, body: Bytes) -> Reply {
    let mut reply = empty(status);
    reply.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    *reply.body_mut() = body;
    reply
}

/// Returns a reply without a body.
pub(super) fn empty(status: StatusCode) -> Reply {
    let mut reply = Reply::default();
    *reply.status_mut() = status;
    reply
}

/// The body of every refusal.
#[derive(Serialize, ToSchema)]
#[schema(as = Error)]
pub(super) struct ErrorBody {
    /// For programs: a code, mostly of RFC 6749 section 5.2.
    #[schema(example = "invalid_request")]
    error: &'static str,
    /// For people: the reason, and a remedy.
    #[schema(example = "token is missing")]
    error_description: String,
    /// If a login waits for a second factor: goes to `/login/second-factor` with it. Works once.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "9Zk2…")]
    mfa_token: Option<String>,
    /// With `mfa_token`: the seconds until the login must be complete.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 300)]
    expires_in: Option<u64>,
    /// With `mfa_token`: the proofs that the user can give. `totp`, `recovery_code` and `passkey`, or
    /// `totp_enrolment` if the user has to set up a second factor.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = json!(["totp", "recovery_code"]))]
    methods: Option<Vec<&'static str>>,
    /// With `insufficient_user_authentication`: the most seconds since the last authentication.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 600)]
    max_age: Option<u64>,
}

/// The parts that few refusals have.
#[derive(Debug, Default)]
struct Extra {
    header: Option<(HeaderName, HeaderValue)>,
    /// The login waits for a second factor.
    login: Option<Asked>,
    max_age: Option<u64>,
}

/// A refusal. All endpoints use the format of RFC 6749 §5.2.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    error: &'static str,
    description: String,
    extra: Box<Extra>,
}

impl ApiError {
    fn new(status: StatusCode, error: &'static str, description: impl Into<String>) -> Self {
        Self { status, error, description: description.into(), extra: Box::default() }
    }

    /// Status 400, with an error code of RFC 6749 §5.2.
    pub(super) fn bad_request(error: &'static str, description: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error, description)
    }

    pub(super) fn invalid_request(description: impl Into<String>) -> Self {
        Self::bad_request("invalid_request", description)
    }

    /// The client's credentials are wrong (RFC 6749 §5.2). The description never says which.
    pub(super) fn invalid_client() -> Self {
        Self::unauthenticated(ServiceError::InvalidClient.to_string())
    }

    pub(super) fn no_credentials() -> Self {
        Self::unauthenticated(
            "the request has no credentials of a client; send its id and its secret by the scheme \
             Basic, or as client_id and client_secret in the form",
        )
    }

    fn unauthenticated(description: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "invalid_client", description)
            .challenge("Basic realm=\"countersign\"")
    }

    /// RFC 6750 §3.1: the challenge for a request without a token names no error.
    pub(super) fn no_access_token() -> Self {
        let description = "the request has no access token; send one as Authorization: Bearer …";
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", description)
            .challenge("Bearer realm=\"countersign\"")
    }

    pub(super) fn not_one_access_token() -> Self {
        Self::invalid_request(
            "the request must have one access token, in one header Authorization, after Bearer",
        )
        .challenge("Bearer realm=\"countersign\", error=\"invalid_request\"")
    }

    pub(super) fn cross_site(description: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "access_denied", description)
    }

    pub(super) fn around_proxy() -> Self {
        let description = "the request did not come through the proxy; use the issuer's public URL";
        Self::new(StatusCode::FORBIDDEN, "access_denied", description)
    }

    pub(super) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "there is nothing at this path")
    }

    pub(super) fn method_not_allowed(allow: &'static str) -> Self {
        let description = format!("the method is not allowed at this path; use {allow}");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", description)
            .with_header(header::ALLOW, HeaderValue::from_static(allow))
    }

    pub(super) fn unsupported_media_type(expected: &str) -> Self {
        let description = format!("the body must be {expected}");
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", description)
    }

    pub(super) fn body_too_large(limit: usize) -> Self {
        let description = format!("the body is longer than {limit} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "content_too_large", description)
    }

    pub(super) fn body_too_slow() -> Self {
        let description = "the body did not arrive in time";
        Self::new(StatusCode::REQUEST_TIMEOUT, "request_timeout", description)
            .with_header(header::CONNECTION, HeaderValue::from_static("close"))
    }

    pub(super) fn overloaded() -> Self {
        Self::unavailable("too many requests are in flight; try again")
    }

    /// The same request may succeed a second later.
    pub(super) fn unavailable(description: &str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable", description)
            .retry_after(Duration::from_secs(1))
    }

    pub(super) fn description(&self) -> &str {
        &self.description
    }

    /// RFC 9470 §3.
    fn step_up(self, max_age: u64) -> Self {
        let challenge = format!(
            "Bearer realm=\"countersign\", error=\"{}\", max_age=\"{max_age}\"",
            self.error
        );
        // Never fails: the number is ASCII.
        let challenge = HeaderValue::from_str(&challenge);
        let challenge = challenge.unwrap_or(HeaderValue::from_static("Bearer"));
        let mut refused = self.with_header(header::WWW_AUTHENTICATE, challenge);
        refused.extra.max_age = Some(max_age);
        refused
    }

    fn next_step(mut self, asked: Asked) -> Self {
        self.extra.login = Some(asked);
        self
    }

    fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.extra.header = Some((name, value));
        self
    }

    fn challenge(self, challenge: &'static str) -> Self {
        self.with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge))
    }

    fn retry_after(self, wait: Duration) -> Self {
        // Rounded up: a client that comes back on the second must not be early.
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        self.with_header(header::RETRY_AFTER, seconds.max(1).into())
    }

    pub(super) fn reply(self) -> Reply {
        let Extra { header, login, max_age } = *self.extra;
        let body = ErrorBody {
            error: self.error,
            error_description: self.description,
            mfa_token: login.as_ref().map(|asked| asked.mfa_token.to_string()),
            expires_in: login.as_ref().map(|asked| asked.expires_in),
            methods: login.map(|asked| asked.methods),
            max_age,
        };
        let mut reply = json(self.status, &body);
        if let Some((name, value)) = header {
            reply.headers_mut().insert(name, value);
        }
        reply
    }
}

/// The only place that turns an error of the service into a status and a code.
impl From<ServiceError> for ApiError {
    fn from(e: ServiceError) -> Self {
        let description = e.to_string();
        let refused = |status, code| Self::new(status, code, description.clone());
        match e {
            ServiceError::LoginFailed
            | ServiceError::PasskeyLoginFailed
            | ServiceError::PasswordExpired
            | ServiceError::InvalidMfaToken => refused(StatusCode::UNAUTHORIZED, "invalid_grant"),
            ServiceError::SecondFactorNeeded(asked) => {
                refused(StatusCode::UNAUTHORIZED, "mfa_required").next_step(asked)
            }
            ServiceError::SecondFactorWrong(asked) => {
                refused(StatusCode::UNAUTHORIZED, "invalid_grant").next_step(asked)
            }
            ServiceError::InsufficientAuthentication { max_age } => {
                refused(StatusCode::UNAUTHORIZED, "insufficient_user_authentication")
                    .step_up(max_age)
            }
            ServiceError::TooManyLogins(wait) => {
                refused(StatusCode::TOO_MANY_REQUESTS, "too_many_requests").retry_after(wait)
            }
            ServiceError::InvalidRefreshToken
            | ServiceError::TokenOfAnotherClient
            | ServiceError::WrongPassword
            | ServiceError::InvalidResetToken => refused(StatusCode::BAD_REQUEST, "invalid_grant"),
            ServiceError::PasswordRefused(_) => {
                refused(StatusCode::BAD_REQUEST, "password_refused")
            }
            ServiceError::InvalidClient => Self::invalid_client(),
            ServiceError::InvalidAccessToken => refused(StatusCode::UNAUTHORIZED, "invalid_token")
                .challenge("Bearer realm=\"countersign\", error=\"invalid_token\""),
            ServiceError::InvalidAdminToken => refused(StatusCode::UNAUTHORIZED, "invalid_token")
                .challenge("Bearer realm=\"countersign\", error=\"invalid_token\""),
            ServiceError::InsufficientScope(Access::Read) => {
                refused(StatusCode::FORBIDDEN, "insufficient_scope").challenge(
                    "Bearer realm=\"countersign\", error=\"insufficient_scope\", \
                     scope=\"countersign:read\"",
                )
            }
            ServiceError::InsufficientScope(Access::Change) => {
                refused(StatusCode::FORBIDDEN, "insufficient_scope").challenge(
                    "Bearer realm=\"countersign\", error=\"insufficient_scope\", \
                     scope=\"countersign:admin\"",
                )
            }
            ServiceError::TooManyRequests(wait) => {
                refused(StatusCode::TOO_MANY_REQUESTS, "too_many_requests").retry_after(wait)
            }
            ServiceError::NoPasskeys => refused(StatusCode::NOT_FOUND, "not_found"),
            ServiceError::InvalidChallenge | ServiceError::PasskeyRefused(_) => {
                refused(StatusCode::BAD_REQUEST, "invalid_request")
            }
            ServiceError::Refused(_) => refused(StatusCode::BAD_REQUEST, "invalid_request"),
            ServiceError::NoSuch(_) => refused(StatusCode::NOT_FOUND, "not_found"),
            ServiceError::NameTaken
            | ServiceError::PasskeyTaken
            | ServiceError::TooManyPasskeys
            | ServiceError::Conflict(_)
            | ServiceError::RequestInFlight
            | ServiceError::AnswerUnreadable => refused(StatusCode::CONFLICT, "conflict"),
            ServiceError::KeyOfAnotherRequest => {
                refused(StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused")
            }
            ServiceError::NoSuchSession => refused(StatusCode::NOT_FOUND, "not_found"),
            ServiceError::MalformedScope
            | ServiceError::ScopeExceedsSession
            | ServiceError::ScopeExceedsClient
            | ServiceError::ScopeOfAnotherTarget => {
                refused(StatusCode::BAD_REQUEST, "invalid_scope")
            }
            ServiceError::InvalidTarget(_) => refused(StatusCode::BAD_REQUEST, "invalid_target"),
            ServiceError::UnrevocableToken => {
                refused(StatusCode::BAD_REQUEST, "unsupported_token_type")
            }
            ServiceError::HashQueueFull
            | ServiceError::NoSigningKey
            | ServiceError::ClockBehind
            | ServiceError::StatusListUnavailable => Self::unavailable(&description),
            ServiceError::Store(cause) => {
                tracing::error!("{cause}");
                Self::unavailable(&description)
            }
            ServiceError::Internal(cause) => {
                tracing::error!("{cause}");
                refused(StatusCode::INTERNAL_SERVER_ERROR, "server_error")
            }
        }
    }
}

impl From<crate::Error> for ApiError {
    fn from(e: crate::Error) -> Self {
        ServiceError::from(e).into()
    }
}
