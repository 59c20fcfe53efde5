use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::admin;
use super::budget::Budget;
use super::openapi::{self, Document};
use crate::limits::WarnLimit;
use crate::metrics::Metrics;
use crate::service::{Issuer, IssuerUrl};
use crate::{Config, Limits};

/// The state of the endpoints that needs no database. It exists before that is open.
pub(crate) struct Edge {
    pub(crate) config: Arc<Config>,
    pub(crate) limits: Limits,
    pub(crate) url: IssuerUrl,
    pub(crate) metrics: Arc<Metrics>,
    /// The memory of the requests in flight of both listeners.
    pub(super) budget: Budget,
    /// The issuer is about to stop.
    pub(crate) is_stopping: AtomicBool,
    /// Warnings of unreadable `X-Forwarded-For` headers.
    pub(super) forwarded_warnings: WarnLimit,
}

impl Edge {
    pub(crate) fn new(
        config: Arc<Config>,
        limits: Limits,
        url: IssuerUrl,
        metrics: Arc<Metrics>,
    ) -> Self {
        let budget = Budget::new(limits.request_bytes);
        let is_stopping = AtomicBool::new(false);
        let forwarded_warnings = WarnLimit::default();
        Self { config, limits, url, metrics, budget, is_stopping, forwarded_warnings }
    }
}

/// The state that handlers share.
pub(crate) struct Api {
    pub(crate) edge: Arc<Edge>,
    pub(crate) issuer: Arc<Issuer>,
    pub(super) openapi: Document,
    pub(super) admin_openapi: Document,
    pub(super) certificate: Certificate,
}

/// Returns the time in which the TLS certificate is valid, in UNIX seconds; `None` without one.
type Certificate = Box<dyn Fn() -> Option<Range<u64>> + Send + Sync>;

impl Api {
    /// `certificate` returns the time in which the TLS certificate is valid, in UNIX seconds; `None`
    /// without one.
    pub(crate) fn new(
        edge: Arc<Edge>,
        issuer: Issuer,
        certificate: impl Fn() -> Option<Range<u64>> + Send + Sync + 'static,
    ) -> Self {
        let url = issuer.url.as_str();
        let (openapi, admin_openapi) = (openapi::document(url), admin::document(url));
        let (issuer, certificate) = (Arc::new(issuer), Box::new(certificate));
        Self { edge, issuer, openapi, admin_openapi, certificate }
    }

    #[cfg(test)]
    pub(super) fn for_tests(issuer: Issuer) -> Arc<Self> {
        let (config, metrics) = (Arc::clone(&issuer.config), Arc::clone(&issuer.metrics));
        let edge = Edge::new(config, issuer.limits, issuer.url.clone(), metrics);
        Arc::new(Self::new(Arc::new(edge), issuer, || None))
    }
}

/// An issuer whose endpoints are answered.
#[derive(Clone)]
pub(super) enum Stage {
    /// It waits for its database.
    Waiting(Arc<Edge>),
    Open(Arc<Api>),
}

impl Stage {
    pub(super) fn edge(&self) -> &Edge {
        match self {
            Self::Waiting(edge) => edge,
            Self::Open(api) => &api.edge,
        }
    }
}
