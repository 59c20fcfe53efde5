//! The endpoints. [`ENDPOINTS`] lists them. Each handler has a file of its own: it reads the request,
//! calls [`crate::service`], and returns a reply or an [`ApiError`]. [`Service`] adds the limits and
//! headers that all answers share.

mod admin;
mod api;
mod authorization;
mod body;
mod budget;
mod client;
mod cookie;
mod cors;
mod document;
mod factors;
mod form;
mod health;
mod host;
mod introspect;
mod login;
mod logout;
mod metrics;
mod openapi;
mod passkeys;
mod password;
mod reply;
mod request_id;
mod revoke;
mod second_factor;
mod sessions;
mod status;
mod token;
mod token_form;
mod tokens;
mod user;
mod user_agent;
mod well_known;

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Body;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, Request, Version};
use tokio::time::timeout;
use tower_service::Service as _;
use tracing::Instrument as _;
use warp::filters::BoxedFilter;
use warp::filters::path::FullPath;
use warp::{Filter as _, Reply as _};

use crate::config::AdminApi;
use crate::metrics::Connection;
use crate::network;
use api::Stage;
pub(crate) use api::{Api, Edge};
use cors::Cors;
use reply::{ApiError, Reply};

/// The address at the other end of the connection.
#[derive(Clone, Copy)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// A request to an endpoint, with its whole body.
pub(crate) struct Call {
    headers: HeaderMap,
    /// The address of the client, also if trusted proxies are in between.
    client: IpAddr,
    method: Method,
    path: String,
    /// The part of the path that a name in braces stands for, or an empty text.
    parameter: String,
    /// Without the question mark.
    query: String,
    body: Bytes,
}

#[cfg(test)]
impl Call {
    fn for_tests() -> Self {
        Self {
            headers: HeaderMap::new(),
            client: [127, 0, 0, 1].into(),
            method: Method::GET,
            path: String::new(),
            parameter: String::new(),
            query: String::new(),
            body: Bytes::new(),
        }
    }
}

/// An endpoint.
#[derive(Clone, Copy)]
struct Endpoint {
    /// A name in braces stands for the text of one segment; the handler checks it.
    path: &'static str,
    /// The value of `Allow`.
    allow: &'static str,
    cors: cors::Kind,
    /// The most bytes of a request's body.
    body: usize,
    handler: Handler,
}

type Handler = fn(Arc<Api>, Call) -> Answer;
type Answer = Pin<Box<dyn Future<Output = Result<Reply, ApiError>> + Send>>;

/// The most bytes of a body, except for the endpoints with [`LONGEST_BODY`].
const BODY: usize = 8 * 1024;

/// The most bytes of a body with a token, which may be an access token of another issuer, or with a new
/// passkey, which may have an attestation.
pub(crate) const LONGEST_BODY: usize = 16 * 1024;

/// The path of the liveness probe.
const LIVE: &str = "/healthz/live";

/// The endpoints of the public listener.
const ENDPOINTS: &[Endpoint] = &[
    post("/login", |api, call| Box::pin(login::login(api, call))),
    post("/login/second-factor", |api, call| Box::pin(second_factor::complete(api, call))),
    post("/login/totp", |api, call| Box::pin(second_factor::enrol(api, call))),
    post("/login/again", |api, call| Box::pin(second_factor::again(api, call))),
    post("/token", |api, call| Box::pin(token::token(api, call))),
    post("/logout", |api, call| Box::pin(logout::logout(api, call))),
    Endpoint {
        body: LONGEST_BODY,
        ..post("/revoke", |api, call| Box::pin(revoke::revoke(api, call)))
    },
    Endpoint {
        cors: cors::Kind::None,
        body: LONGEST_BODY,
        ..post("/introspect", |api, call| Box::pin(introspect::introspect(api, call)))
    },
    post("/password", |api, call| Box::pin(password::change(api, call))),
    post("/password/reset", |api, call| Box::pin(password::reset(api, call))),
    post("/login/passkey/options", |api, call| Box::pin(passkeys::begin_login(api, call))),
    post("/login/passkey", |api, call| Box::pin(passkeys::login(api, call))),
    post("/passkeys/options", |api, call| Box::pin(passkeys::begin(api, call))),
    Endpoint {
        body: LONGEST_BODY,
        ..post("/passkeys", |api, call| Box::pin(passkeys::add(api, call)))
    },
    for_users("/passkeys/{id}", "PATCH, DELETE", |api, call| match call.method {
        Method::PATCH => Box::pin(passkeys::rename(api, call)),
        _ => Box::pin(passkeys::remove(api, call)),
    }),
    for_users("/factors", "GET, HEAD", |api, call| Box::pin(factors::list(api, call))),
    for_users("/totp", "POST, DELETE", |api, call| match call.method {
        Method::POST => Box::pin(factors::begin_totp(api, call)),
        _ => Box::pin(factors::remove_totp(api, call)),
    }),
    post("/totp/confirm", |api, call| Box::pin(factors::confirm_totp(api, call))),
    post("/recovery-codes", |api, call| Box::pin(factors::replace_codes(api, call))),
    for_users("/sessions", "GET, HEAD", |api, call| Box::pin(sessions::list(api, call))),
    for_users("/sessions/{id}", "DELETE", |api, call| Box::pin(sessions::end(api, call))),
    Endpoint {
        cors: cors::Kind::Public,
        ..get("/.well-known/jwks.json", |api, call| Box::pin(well_known::jwks(api, call)))
    },
    Endpoint {
        cors: cors::Kind::Public,
        ..get("/.well-known/oauth-authorization-server", |api, call| {
            Box::pin(well_known::metadata(api, call))
        })
    },
    Endpoint {
        cors: cors::Kind::Public,
        ..get("/.well-known/openid-configuration", |api, call| {
            Box::pin(well_known::openid_configuration(api, call))
        })
    },
    Endpoint {
        cors: cors::Kind::Public,
        ..get("/status/{n}", |api, call| Box::pin(status::status(api, call)))
    },
    Endpoint {
        cors: cors::Kind::Public,
        ..get("/openapi.json", |api, call| Box::pin(openapi::openapi(api, call)))
    },
    get(LIVE, |api, call| Box::pin(health::live(api, call))),
    get("/healthz/ready", |api, call| Box::pin(health::ready(api, call))),
];

/// The endpoints of the admin listener, besides those of the Admin API.
const ADMIN_ENDPOINTS: &[Endpoint] =
    &[get("/metrics", |api, call| Box::pin(metrics::metrics(api, call)))];

/// One of the two listeners that requests come from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listener {
    Public,
    /// `is_loopback`: it has a loopback address.
    Admin {
        is_loopback: bool,
    },
}

impl Listener {
    const fn endpoints(self, admin_api: AdminApi) -> &'static [&'static [Endpoint]] {
        match (self, admin_api) {
            (Self::Public, AdminApi::Public) => &[ENDPOINTS, admin::ENDPOINTS],
            (Self::Public, _) => &[ENDPOINTS],
            (Self::Admin { is_loopback: true }, _) | (Self::Admin { .. }, AdminApi::Private) => {
                &[ADMIN_ENDPOINTS, admin::ENDPOINTS]
            }
            (Self::Admin { .. }, _) => &[ADMIN_ENDPOINTS],
        }
    }
}

const fn post(path: &'static str, handler: Handler) -> Endpoint {
    for_users(path, "POST", handler)
}

/// An endpoint that pages of the listed origins may call.
const fn for_users(path: &'static str, allow: &'static str, handler: Handler) -> Endpoint {
    Endpoint { path, allow, cors: cors::Kind::Credentials, body: BODY, handler }
}

const fn get(path: &'static str, handler: Handler) -> Endpoint {
    Endpoint { path, allow: "GET, HEAD", cors: cors::Kind::None, body: BODY, handler }
}

/// Returns the endpoint at exactly this path, and the path without that of the issuer's URL. warp's
/// own segments would accept a trailing slash.
///
/// For the issuer `https://example.com/auth`, clients request `/auth/token`, and a proxy passes on
/// that path or `/token`. They look for metadata at `/.well-known/oauth-authorization-server/auth`
/// too (RFC 8414 §3.1).
fn endpoint_at<'a>(
    endpoints: &[&[Endpoint]],
    base: &str,
    path: &'a str,
) -> Option<(Endpoint, &'a str)> {
    let well_known = path.strip_suffix(base).filter(|path| path.starts_with("/.well-known/"));
    let paths = [path.strip_prefix(base), well_known, Some(path)];
    paths.into_iter().flatten().find_map(|path| {
        let mut all = endpoints.iter().copied().flatten();
        Some((*all.find(|endpoint| endpoint.parameter(path).is_some())?, path))
    })
}

impl Endpoint {
    /// Returns the part of the path that the name in braces stands for, or an empty text; `None` if this
    /// is the path of another endpoint.
    fn parameter<'a>(&self, path: &'a str) -> Option<&'a str> {
        let Some((start, rest)) = self.path.split_once('{') else {
            return (self.path == path).then_some("");
        };
        let end = rest.split_once('}').map_or("", |(_, end)| end);
        let parameter = path.strip_prefix(start)?.strip_suffix(end)?;
        (!parameter.contains('/')).then_some(parameter)
    }
}

/// Returns the routes that are counted, as log and metrics name them.
pub(crate) fn counted_routes() -> impl Iterator<Item = &'static str> {
    let all = ENDPOINTS.iter().chain(admin::ENDPOINTS);
    all.map(|endpoint| endpoint.path).chain([OTHER])
}

/// The route of all other paths in log and metrics: a path can contain anything, also a secret.
const OTHER: &str = "-";

/// The methods that the log names (RFC 9110 §9.3, RFC 5789).
const METHODS: [Method; 9] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::DELETE,
    Method::CONNECT,
    Method::OPTIONS,
    Method::TRACE,
    Method::PATCH,
];

/// Returns one filter for all endpoints. With a filter for each, a request would be tried against
/// those before its own.
fn routes(stage: Stage, endpoints: &'static [&'static [Endpoint]]) -> BoxedFilter<(Reply,)> {
    let query = warp::query::raw().or(warp::any().map(String::new)).unify();
    warp::path::full()
        .and(query)
        .and(warp::method())
        .and(warp::header::headers_cloned())
        .and(warp::ext::get::<Peer>())
        .and(warp::body::bytes())
        .then(move |path: FullPath, query, method, headers, peer, body| {
            let stage = stage.clone();
            async move {
                let found = endpoint_at(endpoints, stage.edge().url.path(), path.as_str());
                let Some((endpoint, path)) = found else { return ApiError::not_found().reply() };
                let call = Call {
                    client: client(stage.edge(), &headers, peer),
                    headers,
                    method,
                    parameter: endpoint.parameter(path).unwrap_or_default().to_owned(),
                    path: path.to_owned(),
                    query,
                    body,
                };
                answer(stage, endpoint, call).await
            }
        })
        .boxed()
}

/// Answers a request to an endpoint, with any method.
async fn answer(stage: Stage, endpoint: Endpoint, call: Call) -> Reply {
    let edge = stage.edge();
    if call.method == Method::OPTIONS {
        Cors::new(&edge.config.cors_origins, endpoint, &call.headers).preflight(&call.headers)
    } else if endpoint.allow.split(", ").any(|one| one == call.method.as_str()) {
        match stage {
            Stage::Waiting(_) => health::before_open(endpoint.path),
            Stage::Open(api) => (endpoint.handler)(api, call).await.unwrap_or_else(ApiError::reply),
        }
    } else {
        ApiError::method_not_allowed(endpoint.allow).reply()
    }
}

/// Returns the address of the client. An entry of `X-Forwarded-For` that is no address may contain
/// anything, so the log does not quote it.
fn client(edge: &Edge, headers: &HeaderMap, peer: Peer) -> IpAddr {
    let trusted = &edge.config.trusted_proxies;
    // A line that is not text counts as an entry that is not an address.
    let lines = headers.get_all("x-forwarded-for").into_iter();
    let lines: Vec<_> = lines.map(|line| line.to_str().unwrap_or("?")).collect();
    network::client(peer.0, lines.iter().copied(), trusted).unwrap_or_else(|proxy| {
        if edge.forwarded_warnings.allows() {
            tracing::warn!(
                "{proxy}, a trusted proxy, sent an entry in X-Forwarded-For that is not an \
                 address; the proxy counts as the client; let it send the client's address"
            );
        }
        proxy
    })
}

/// The HTTP service of one listener: warp's routes within the limits of time and size, with the log
/// and the headers that all answers share.
#[derive(Clone)]
pub(crate) struct Service {
    stage: Stage,
    listener: Listener,
    endpoints: &'static [&'static [Endpoint]],
    routes: BoxedFilter<(Reply,)>,
}

impl Service {
    pub(crate) fn new(api: Arc<Api>, listener: Listener) -> Self {
        Self::at(Stage::Open(api), listener)
    }

    /// Answers while the issuer waits for its database: `/healthz/live` with 200, and every other
    /// endpoint with 503.
    pub(crate) fn waiting(edge: Arc<Edge>, listener: Listener) -> Self {
        Self::at(Stage::Waiting(edge), listener)
    }

    fn at(stage: Stage, listener: Listener) -> Self {
        let endpoints = listener.endpoints(stage.edge().config.admin_api);
        Self { routes: routes(stage.clone(), endpoints), endpoints, listener, stage }
    }

    pub(crate) fn edge(&self) -> &Edge {
        self.stage.edge()
    }

    /// Counts an open connection until the returned value is dropped.
    pub(crate) fn connection(&self) -> Option<Connection> {
        (self.listener == Listener::Public).then(|| self.edge().metrics.connection())
    }

    /// Counts a connection that was closed to make room for another one.
    pub(crate) fn count_evicted_connection(&self) {
        if self.listener == Listener::Public {
            self.edge().metrics.count_evicted_connection();
        }
    }

    pub(crate) async fn call(
        self,
        request: Request<impl Body<Data = Bytes> + Unpin>,
        peer: Peer,
    ) -> warp::reply::Response {
        let trusted = &self.edge().config.trusted_proxies;
        let id = request_id::of(request.headers(), peer.0, trusted);
        // The level is error, so that no log level leaves the id out.
        let span = tracing::error_span!("request", id = id.to_str().unwrap_or("-"));
        let mut response = self.logged(request, peer).instrument(span).await;
        response.headers_mut().insert(request_id::X_REQUEST_ID, id);
        response
    }

    /// Answers a request, and logs and counts the answer.
    async fn logged(
        &self,
        request: Request<impl Body<Data = Bytes> + Unpin>,
        peer: Peer,
    ) -> warp::reply::Response {
        let (started, version) = (Instant::now(), request.version());
        // An unknown method can contain anything, also a secret.
        let method = METHODS.iter().find(|known| *known == request.method());
        let method = method.map_or("-", Method::as_str);
        let Edge { config, url, metrics, is_stopping, .. } = self.edge();
        let found = endpoint_at(self.endpoints, url.path(), request.uri().path());
        let endpoint = found.map(|(endpoint, _)| endpoint);
        let path = endpoint.map_or(OTHER, |endpoint| endpoint.path);
        let limit = endpoint.map_or(BODY, |endpoint| endpoint.body);
        let cors =
            endpoint.map(|endpoint| Cors::new(&config.cors_origins, endpoint, request.headers()));
        let mut response =
            self.answer(request, peer, limit).await.unwrap_or_else(|e| e.reply().into_response());
        // A refusal too: otherwise a page could not read the reason.
        if let Some(cors) = cors {
            cors.apply(response.headers_mut());
        }
        self.complete(response.headers_mut());
        // HTTP/2 has no such header (RFC 9113 §8.2.2). Its connections learn of the stop by GOAWAY.
        let closes = match self.stage {
            // The next request may come when the issuer is open.
            Stage::Waiting(_) => true,
            Stage::Open(_) => is_stopping.load(Ordering::Relaxed),
        };
        if version == Version::HTTP_11 && closes {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        let (status, took) = (response.status().as_u16(), started.elapsed());
        let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        // Metrics are read every few seconds.
        if self.listener == Listener::Public || path.starts_with(admin::PATH) {
            metrics.count_request(path, status, took);
            tracing::info!(method, path, status, ms);
        } else {
            tracing::debug!(method, path, status, ms);
        }
        response
    }

    async fn answer(
        &self,
        request: Request<impl Body<Data = Bytes> + Unpin>,
        peer: Peer,
        body_limit: usize,
    ) -> Result<warp::reply::Response, ApiError> {
        let Edge { limits, budget, .. } = self.edge();
        // CONNECT has a target without a path (RFC 9112 §3.2.3). warp's path filter panics on it.
        if request.uri().path_and_query().is_none() {
            return Err(ApiError::not_found());
        }
        host::check(&request)?;
        if self.listener == (Listener::Admin { is_loopback: true }) {
            host::check_is_local(&request)?;
        }
        if self.is_around_proxy(peer) && !request.uri().path().starts_with("/healthz/") {
            return Err(ApiError::around_proxy());
        }
        let (parts, body) = request.into_parts();
        // The answer to this probe waits for nothing, and overload is no reason for a restart.
        let bytes = if parts.uri.path() == LIVE { 0 } else { budget::size_of(&parts) };
        // Counted until the answer is complete.
        let mut share = budget.share(bytes);
        let body = body::read(body, body_limit, &mut share);
        let body = timeout(limits.request_timeout, body)
            .await
            .map_err(|_| ApiError::body_too_slow())??;
        let mut request = Request::from_parts(parts, Full::new(body));
        request.extensions_mut().insert(peer);
        let response =
            timeout(limits.request_timeout, warp::service(self.routes.clone()).call(request))
                .await
                .map_err(|_| ApiError::unavailable("the request took too long"))?;
        match response {
            Ok(response) => Ok(response),
            Err(infallible) => match infallible {},
        }
    }

    /// Returns true if the request did not come through the proxy that terminates TLS, so that its
    /// password crossed the network in the clear. Without `trusted_proxies` nobody can tell.
    fn is_around_proxy(&self, Peer(peer): Peer) -> bool {
        let Edge { config, limits, .. } = self.edge();
        let exempt = limits.loopback_is_exempt && peer.to_canonical().is_loopback();
        let known = config.behind_proxy && !config.trusted_proxies.is_empty();
        let public = self.listener == Listener::Public;
        public && known && !exempt && !network::is_trusted(peer, &config.trusted_proxies)
    }

    /// Adds the headers that all answers share, unless the endpoint has set them.
    fn complete(&self, headers: &mut HeaderMap) {
        let mut default = |name, value| {
            headers.entry(name).or_insert(HeaderValue::from_static(value));
        };
        default(header::CACHE_CONTROL, "no-store");
        default(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
        default(header::REFERRER_POLICY, "no-referrer");
        default(header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'");
        if self.edge().url.is_https() {
            default(header::STRICT_TRANSPORT_SECURITY, "max-age=31536000");
        }
    }
}
