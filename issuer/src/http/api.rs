use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::budget::Budget;
use super::openapi::Document;
use crate::limits::WarnLimit;
use crate::service::Issuer;

/// The state that handlers share.
pub(crate) struct Api {
    pub(crate) issuer: Arc<Issuer>,
    /// The memory of the requests in flight of both listeners.
    pub(super) budget: Budget,
    pub(super) openapi: Document,
    pub(super) certificate: Certificate,
    /// The issuer is about to stop.
    pub(crate) is_stopping: AtomicBool,
    /// Warnings of unreadable `X-Forwarded-For` headers.
    pub(super) forwarded_warnings: WarnLimit,
}

/// Returns the time in which the TLS certificate is valid, in UNIX seconds; `None` without one.
type Certificate = Box<dyn Fn() -> Option<Range<u64>> + Send + Sync>;

impl Api {
    /// `certificate` returns the time in which the TLS certificate is valid, in UNIX seconds; `None`
    /// without one.
    pub(crate) fn new(
        issuer: Issuer,
        certificate: impl Fn() -> Option<Range<u64>> + Send + Sync + 'static,
    ) -> Self {
        let openapi = Document::of(issuer.url.as_str());
        let budget = Budget::new(issuer.limits.request_bytes);
        Self {
            issuer: Arc::new(issuer),
            budget,
            openapi,
            certificate: Box::new(certificate),
            is_stopping: AtomicBool::new(false),
            forwarded_warnings: WarnLimit::default(),
        }
    }
}
