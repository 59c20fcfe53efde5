pub(crate) mod hasher;
pub(crate) mod keys;
pub(crate) mod login_limit;
mod measured_store;
pub(crate) mod status;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::hmac;
use countersign_claims::{Audience, Claims, NumericDate, Status, StatusReference};

use self::hasher::Hasher;
use self::keys::signing::TokenType;
use self::keys::{KeyRing, deposit};
use self::login_limit::LoginLimit;
use self::measured_store::Measured;
use self::status::Lists;
use crate::clock::Steadiness;
use crate::config::DatabaseUrl;
use crate::config::SESSION_MAX;
use crate::crypto;
use crate::keys::{Rules, Vault};
use crate::login::counters::Counters;
use crate::login::password::Cost;
use crate::metrics::Metrics;
use crate::sealing::{DeploymentSecret, MasterKeySource, Sealer};
use crate::session::Lifetimes;
use crate::status::{Candidates, StatusIndex};
use crate::store::{self, Missing, Store};
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
    steadiness: Mutex<Steadiness>,
    /// The `iss` claim.
    pub(crate) issuer: String,
    pub(crate) tls: Option<crate::serve::tls::Acceptor>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) keys: KeyRing,
    /// The time that the clock has to reach: 0, or the latest that an issuer saw, where this one
    /// started before it.
    behind: AtomicU64,
    pub(crate) hasher: Hasher,
    pub(crate) login_limit: LoginLimit,
    pub(crate) refresh_key: hmac::Key,
    pub(crate) counters: Counters,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) status_lists: Lists,
    pub(crate) openapi: crate::http::Document,
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
        let tls = crate::serve::tls::Acceptor::load(&config)?;
        let database = DatabaseUrl::parse(&config.database)?;
        let opened = open_store(&config, &database, Missing::Make).await?;
        let Opened { store, sealer, secret } = opened;
        let metrics = Metrics::new(config.rotation_period)?;
        let store: Arc<dyn Store> = Arc::new(Measured::new(store, Arc::clone(&metrics)));
        let rules = Rules::new(&config);
        let behind = behind(&*store, &config, clock.now()).await?;
        if let Some(latest) = behind {
            tracing::error!("{}", clock_behind(clock.now(), latest));
        }
        let keys =
            KeyRing::open(Arc::clone(&store), sealer, rules, clock.clone(), behind.is_none());
        let keys = keys.await?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let issuer = config.issuer.clone().unwrap_or_else(|| format!("{scheme}://{address}"));
        let tolerance = config.clock_skew + CLOCK_TOLERANCE;
        let calm = config.jwks_max_age.max(CALM);
        Ok(Self(Arc::new(Inner {
            steadiness: Mutex::new(Steadiness::new(tolerance, calm)),
            openapi: crate::http::Document::of(&issuer),
            issuer,
            tls,
            store,
            keys,
            behind: AtomicU64::new(behind.unwrap_or(0)),
            hasher: Hasher::new(
                Cost::configured(&config),
                limits.hashes.min(config.parallel_hashes()),
                limits.hash_queue,
            )?
            .timed_by(metrics.hash_seconds.clone()),
            login_limit: LoginLimit::new(&limits),
            refresh_key: secret.refresh_key()?,
            counters: Counters::new(secret.derive("countersign logins v1")?),
            metrics,
            status_lists: Lists::new(limits.status_list_size),
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

    /// Lets a running issuer read its certificate and key now, and not when it notices by itself
    /// that they have changed. Without TLS there is nothing to read.
    pub fn reload_certificate(&self) {
        if let Some(tls) = &self.0.tls {
            tls.look_now();
        }
    }

    /// How many password hashes logins have cost so far.
    #[must_use]
    pub fn password_hashes(&self) -> u64 {
        self.0.hasher.computed()
    }

    /// How many readings of the database status lists have cost so far.
    #[must_use]
    pub fn status_list_readings(&self) -> u64 {
        self.0.status_lists.readings()
    }

    /// How many signatures status lists have cost so far.
    #[must_use]
    pub fn status_list_signatures(&self) -> u64 {
        self.0.status_lists.signatures()
    }
}

/// What a clock may be off between two looks at it, besides `clock_skew`.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(5);

/// How long a clock has to be steady after a jump, at least.
const CALM: Duration = Duration::from_secs(60);

/// The latest time that an issuer on this database saw, where `now` is before it.
pub(crate) async fn behind(
    store: &dyn Store,
    config: &Config,
    now: u64,
) -> Result<Option<u64>, Error> {
    let latest = store.latest_time().await?;
    Ok(latest.filter(|latest| now + config.clock_skew.as_secs() < *latest))
}

/// What to do about it.
pub(crate) fn clock_behind(now: u64, latest: u64) -> String {
    format!(
        "the clock is behind: it says {now}, and an issuer on this database saw {latest} (UNIX \
         seconds); set it right, or if that one was wrong, run store reset-clock"
    )
}

/// What an access token gives, and to whom.
pub(crate) struct Access<'a> {
    pub(crate) sub: &'a str,
    pub(crate) client_id: &'a str,
    /// Of a user's session; a client has none.
    pub(crate) sid: Option<String>,
    /// The session's, if it has one.
    pub(crate) status: Option<StatusIndex>,
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

    /// The URL of an endpoint at that path.
    pub(crate) fn endpoint(&self, path: &str) -> String {
        format!("{}{path}", self.issuer.trim_end_matches('/'))
    }

    /// The URL of a status list: the same in its tokens and in itself.
    pub(crate) fn status_uri(&self, list: u32) -> String {
        self.endpoint(&format!("/status/{list}"))
    }

    /// What a session gets its place in the status lists of; none where there are no lists.
    pub(crate) fn draw(&self) -> Result<Option<Candidates>, Error> {
        if !self.config.status_lists {
            return Ok(None);
        }
        let size = self.limits.status_list_size;
        Ok(Some(Candidates::from_random(crypto::random()?, size)))
    }

    /// A signed access token (RFC 9068 §2.2). `None` while no key may sign.
    pub(crate) fn access_token(
        &self,
        Access { sub, client_id, sid, status, scope }: Access<'_>,
        now: u64,
    ) -> Option<Result<String, Error>> {
        let signer = self.keys.signer()?;
        let status = status.filter(|_| self.config.status_lists).map(|place| Status {
            status_list: Some(StatusReference {
                idx: place.index.into(),
                uri: self.status_uri(place.list),
            }),
        });
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
            status,
            ..Claims::default()
        });
        Some(claims.and_then(|claims| {
            let sign = || signer.sign(TokenType::AccessToken, &claims);
            self.metrics.sign_seconds.observe_closure_duration(sign)
        }))
    }

    /// Whether the clock has reached the time that an issuer on this database saw before this one
    /// started. Until then `exp` would lie too early, and no key is changed.
    pub(crate) fn clock_is_sane(&self) -> bool {
        let now = self.clock.now() + self.config.clock_skew.as_secs();
        now >= self.behind.load(Ordering::Relaxed)
    }

    /// Whether what is over by this clock is over: it is sane, and has not jumped a moment ago.
    pub(crate) fn clock_is_steady(&self) -> bool {
        let mut steadiness = self.steadiness.lock().unwrap_or_else(PoisonError::into_inner);
        steadiness.look(&self.clock) && self.clock_is_sane()
    }

    /// Remembers the time; and learns whether what this one has to wait for was taken back.
    async fn remember_time(&self) -> Result<(), Error> {
        if self.clock_is_sane() {
            self.behind.store(0, Ordering::Relaxed);
            self.store.remember_time(self.clock.now()).await?;
        } else {
            let latest = self.store.latest_time().await?.unwrap_or(0);
            self.behind.fetch_min(latest, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Runs until it is dropped: takes the steps of the keys' life, and clears what has expired.
    pub(crate) async fn maintain(&self) {
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        for count in 0_u64.. {
            tick.tick().await;
            // What a wrong clock does to keys and sessions could not be undone.
            let steady = self.clock_is_steady();
            if let Err(e) = self.keys.refresh(steady).await {
                tracing::error!("the signing keys cannot be read: {e}");
            }
            // Not at once: a clock that is wrong at the start may be set right soon after it.
            if count % 60 == 59
                && (steady || !self.clock_is_sane())
                && let Err(e) = self.remember_time().await
            {
                tracing::error!("the time cannot be remembered: {e}");
            }
            if count.is_multiple_of(60) {
                self.login_limit.prune();
            }
            if count.is_multiple_of(3600) && steady {
                let over = self.clock.now().saturating_sub(self.config.session_kept().as_secs());
                if let Err(e) = self.store.prune(over).await {
                    tracing::error!("expired sessions cannot be deleted: {e}");
                }
                if let Err(e) = self.store.prune_failures(self.clock.now()).await {
                    tracing::error!("forgotten failures of logins cannot be deleted: {e}");
                }
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

/// A database with the master key that opens its signing keys, and its deployment secret.
pub(crate) struct Opened {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) sealer: Arc<Sealer>,
    pub(crate) secret: DeploymentSecret,
}

/// Opens the database and the master key together: neither is made or changed when the other can't
/// be used.
pub(crate) async fn open_store(
    config: &Config,
    database: &DatabaseUrl,
    missing: Missing,
) -> Result<Opened, Error> {
    let source = MasterKeySource::find(config, database, config.listen.ip().is_loopback())?;
    let admit = |vault: &Vault| {
        let master = source.resolve(!vault.is_empty())?;
        let sealer = master.sealer()?;
        vault.check(&sealer)?;
        let stored = vault.secret.as_ref();
        let stored = stored.and_then(|sealed| DeploymentSecret::open(sealed, &sealer));
        let secret = stored.map_or_else(DeploymentSecret::random, Ok)?;
        Ok((Arc::new(sealer), secret, vault.secret.is_some()))
    };
    let (store, (sealer, secret, is_stored)) = store::open(database, missing, admit).await?;
    let secret = if is_stored { secret } else { deposit(&*store, &sealer, &secret).await? };
    Ok(Opened { store, sealer, secret })
}
