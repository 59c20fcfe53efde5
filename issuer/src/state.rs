use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use countersign_claims::{Audience, Claims, NumericDate};

use crate::config::SESSION_MAX;
use crate::crypto::{self, MasterKeySource};
use crate::keys::{KeyRecord, KeyRing, Rules};
use crate::metrics::Metrics;
use crate::network::LoginLimit;
use crate::password::Hasher;
use crate::session::Lifetimes;
use crate::store::{Measured, Missing, Place, Store};
use crate::{Clock, Config, Error, Limits};

/// Everything that a running issuer shares between requests. Cheap to clone.
#[derive(Clone)]
pub struct State(pub(crate) Shared);

/// What the crate itself passes around.
pub(crate) type Shared = Arc<Inner>;

pub(crate) struct Inner {
    pub(crate) config: Config,
    pub(crate) limits: Limits,
    pub(crate) clock: Clock,
    /// The `iss` claim.
    pub(crate) issuer: String,
    pub(crate) tls: Option<crate::tls::Acceptor>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) keys: KeyRing,
    pub(crate) hasher: Hasher,
    pub(crate) login_limit: LoginLimit,
    pub(crate) refresh_key: hmac::Key,
    pub(crate) metrics: Arc<Metrics>,
}

impl State {
    /// Opens the database (making it, and on loopback a master key, if there is none) and reads
    /// the keys. `address` is the one that the listener is bound to.
    ///
    /// # Errors
    ///
    /// When the configuration does not allow to serve on `address`, the TLS files can't be used,
    /// the database can't be used, or the master key does not open it. An existing database is
    /// then as it was.
    pub async fn open(
        mut config: Config,
        address: SocketAddr,
        limits: Limits,
        clock: Clock,
    ) -> Result<Self, Error> {
        config.listen = address;
        config.check_serve()?;
        let tls = crate::tls::Acceptor::load(&config)?;
        let place = Place::parse(&config.database)?;
        let Opened { store, sealer, master } = open_store(&config, &place, Missing::Make).await?;
        let metrics = Metrics::new(config.rotation_period)?;
        let store: Arc<dyn Store> = Arc::new(Measured::new(store, Arc::clone(&metrics)));
        let rules = Rules::new(&config);
        let keys = KeyRing::open(Arc::clone(&store), sealer, rules, clock.clone()).await?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let issuer = config.issuer.clone().unwrap_or_else(|| format!("{scheme}://{address}"));
        Ok(Self(Arc::new(Inner {
            issuer,
            tls,
            store,
            keys,
            hasher: Hasher::new(limits.hashes, limits.hash_queue)?
                .timed_by(metrics.hash_seconds.clone()),
            login_limit: LoginLimit::new(&limits),
            refresh_key: master.refresh_key()?,
            metrics,
            config,
            limits,
            clock,
        })))
    }

    /// The issuer's URL: the `iss` claim of its tokens.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.0.issuer
    }

    /// The URL of the address that it listens on, which behind a proxy is not the issuer's.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.0.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.0.config.listen)
    }

    /// How many password hashes logins have cost so far.
    #[must_use]
    pub fn password_hashes(&self) -> u64 {
        self.0.hasher.computed()
    }
}

/// What an access token gives, and to whom.
pub(crate) struct Access<'a> {
    pub(crate) sub: &'a str,
    pub(crate) client_id: &'a str,
    /// Of a user's session; a client has none.
    pub(crate) sid: Option<String>,
    pub(crate) scope: &'a str,
}

impl Inner {
    pub(crate) fn lifetimes(&self) -> Lifetimes {
        Lifetimes {
            idle: self.config.refresh_ttl.as_secs(),
            absolute: SESSION_MAX.as_secs(),
            grace: self.config.refresh_grace.as_secs(),
        }
    }

    /// A signed access token (RFC 9068 §2.2). `None` while no key may sign.
    pub(crate) fn access_token(
        &self,
        Access { sub, client_id, sid, scope }: Access<'_>,
        now: u64,
    ) -> Option<Result<String, Error>> {
        let signer = self.keys.signer()?;
        let claims = crypto::random_id().map(|jti| Claims {
            iss: Some(self.issuer.clone()),
            sub: Some(sub.to_owned()),
            aud: Some(Audience::One(self.config.audience.clone())),
            client_id: Some(client_id.to_owned()),
            scope: (!scope.is_empty()).then(|| scope.to_owned()),
            iat: Some(NumericDate::from_seconds(now)),
            exp: Some(NumericDate::from_seconds(now + self.config.access_ttl.as_secs())),
            jti: Some(jti),
            sid,
            ..Claims::default()
        });
        Some(claims.and_then(|claims| {
            self.metrics.sign_seconds.observe_closure_duration(|| signer.sign(&claims))
        }))
    }

    /// Runs until it is dropped: takes the steps of the keys' life, and clears what has expired.
    pub(crate) async fn maintain(&self) {
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        for count in 0_u64.. {
            tick.tick().await;
            if let Err(e) = self.keys.refresh().await {
                tracing::error!("the signing keys cannot be read: {e}");
            }
            if count.is_multiple_of(60) {
                self.login_limit.prune();
            }
            if count.is_multiple_of(3600)
                && let Err(e) = self.store.prune(self.clock.now()).await
            {
                tracing::error!("expired sessions cannot be deleted: {e}");
            }
            if count.is_multiple_of(3600)
                && let Some(kept) = self.config.audit_retention
                && let Err(e) =
                    self.store.prune_audit(self.clock.now().saturating_sub(kept.as_secs())).await
            {
                tracing::error!("the audit log cannot be shortened: {e}");
            }
        }
    }
}

/// A database with the master key that opens its signing keys.
pub(crate) struct Opened {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) sealer: Arc<crypto::Sealer>,
    master: crypto::MasterKey,
}

/// Opens the database and the master key together: neither is made or changed when the other can't
/// be used.
pub(crate) async fn open_store(
    config: &Config,
    place: &Place,
    missing: Missing,
) -> Result<Opened, Error> {
    let source = MasterKeySource::find(config, place, config.listen.ip().is_loopback())?;
    let admit = |stored: &[KeyRecord]| {
        let master = source.resolve(!stored.is_empty())?;
        let sealer = master.sealer()?;
        crate::keys::check_master_key(stored, &sealer)?;
        Ok((Arc::new(sealer), master))
    };
    let (store, (sealer, master)) = place.open(missing, admit).await?;
    Ok(Opened { store, sealer, master })
}
