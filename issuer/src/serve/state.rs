//! The public state of an issuer: the service with its endpoints, and the TLS acceptor; and its parts
//! before the database is open.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::tls::Acceptor;
use crate::config::url_of;
use crate::http::{self, Api, Edge};
use crate::metrics::Metrics;
use crate::service::{self, Issuer, IssuerUrl};
use crate::{Clock, Config, Error, Limits};

/// An issuer whose configuration and certificate are good, and whose database is not open yet.
pub(crate) struct Opening {
    pub(super) edge: Arc<Edge>,
    pub(super) tls: Option<Acceptor>,
    clock: Clock,
}

impl Opening {
    /// `address` is the one that the listener is bound to.
    ///
    /// # Errors
    ///
    /// When the configuration does not allow to serve on `address`, or the TLS files can't be used.
    pub(crate) fn new(
        mut config: Config,
        address: SocketAddr,
        limits: Limits,
        clock: Clock,
    ) -> Result<Self, Error> {
        config.listen = address;
        let tls = acceptor(&config)?;
        let metrics = Metrics::new(&config, http::counted_routes())?;
        let url = config.issuer.clone().unwrap_or_else(|| url_of(address, tls.is_some()));
        let edge = Edge::new(Arc::new(config), limits, IssuerUrl::new(&url)?, metrics);
        Ok(Self { edge: Arc::new(edge), tls, clock })
    }

    /// Opens the database and reads the keys. Makes the database, and on loopback a master key, if
    /// there is none.
    ///
    /// # Errors
    ///
    /// When the database can't be used, or the master key does not open it. An existing database is
    /// then unchanged. [`Error::Unavailable`] if a later call may succeed.
    pub(crate) async fn open(&self) -> Result<State, Error> {
        let Edge { config, limits, url, metrics, .. } = &*self.edge;
        let (config, metrics) = (Arc::clone(config), Arc::clone(metrics));
        let issuer = Issuer::open(config, url.clone(), *limits, self.clock.clone(), metrics);
        let issuer = issuer.await?;
        let certificate = self.tls.clone();
        let certificate = move || {
            let validity = certificate.as_ref()?.validity()?;
            Some(validity.from..validity.until)
        };
        let api = Arc::new(Api::new(Arc::clone(&self.edge), issuer, certificate));
        Ok(State { api, tls: self.tls.clone() })
    }

    /// Lets the open issuer read its certificate and key as soon as it runs.
    pub(crate) fn reload_certificate(&self) {
        reload(self.tls.as_ref());
    }
}

/// An open issuer, ready to be served: its service, its endpoints and its certificate. Cheap to
/// clone.
#[derive(Clone)]
pub struct State {
    pub(super) api: Arc<Api>,
    pub(super) tls: Option<Acceptor>,
}

impl State {
    /// Opens the database and reads the keys. Makes the database, and on loopback a master key, if
    /// there is none. `address` is the one that the listener is bound to.
    ///
    /// # Errors
    ///
    /// When the configuration does not allow to serve on `address`, the TLS files can't be used,
    /// the database can't be used, or the master key does not open it. An existing database is
    /// then unchanged. [`Error::Unavailable`] if a later call may succeed.
    pub async fn open(
        config: Config,
        address: SocketAddr,
        limits: Limits,
        clock: Clock,
    ) -> Result<Self, Error> {
        Opening::new(config, address, limits, clock)?.open().await
    }

    /// Checks what [`Self::open`] checks, with the configured address, and makes and changes nothing.
    /// With `offline`, leaves the database out.
    ///
    /// # Errors
    ///
    /// Those of [`Self::open`].
    pub async fn check(config: &Config, offline: bool) -> Result<(), Error> {
        acceptor(config)?;
        service::check_store(config, offline).await
    }

    fn service(&self) -> &Issuer {
        &self.api.issuer
    }

    /// Returns the URL of the issuer: the `iss` claim of its tokens.
    #[must_use]
    pub fn issuer(&self) -> &str {
        self.service().url.as_str()
    }

    /// Returns the URL of the listener. Behind a proxy it differs from [`Self::issuer`].
    #[must_use]
    pub fn url(&self) -> String {
        url_of(self.service().config.listen, self.has_tls())
    }

    pub(crate) fn has_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Lets a running issuer read its certificate and key now, before it notices a change by
    /// itself. Does nothing without TLS.
    pub fn reload_certificate(&self) {
        reload(self.tls.as_ref());
    }

    /// Announces the end of [`run`](crate::run): from now on `/healthz/ready` answers 503, and
    /// HTTP/1.1 connections close after their next answer. Everything else goes on.
    pub fn announce_stop(&self) {
        self.api.edge.is_stopping.store(true, Ordering::Relaxed);
    }

    /// Returns the number of password hashes that logins have cost so far.
    #[must_use]
    pub fn password_hashes(&self) -> u64 {
        self.service().hasher.computed()
    }

    /// Returns the number of database readings that status lists have cost so far.
    #[must_use]
    pub fn status_list_readings(&self) -> u64 {
        self.service().status_lists.readings()
    }

    /// Returns the number of signatures that status lists have cost so far.
    #[must_use]
    pub fn status_list_signatures(&self) -> u64 {
        self.service().status_lists.signatures()
    }
}

/// Checks the configuration and loads the certificate.
fn acceptor(config: &Config) -> Result<Option<Acceptor>, Error> {
    config.check_serve()?;
    Acceptor::load(config)
}

fn reload(tls: Option<&Acceptor>) {
    if let Some(tls) = tls {
        tls.look_now();
    }
}
