//! Starting an issuer: the database and the master key are opened together.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::Issuer;
use super::admin::Additions;
use super::clock_guard::{ClockGuard, behind_message, later_time_seen};
use super::failed_logins::FailedLogins;
use super::hasher::{Cost, Hasher};
use super::health::DatabaseProbe;
use super::issuer_url::IssuerUrl;
use super::keys::{KeyRing, deposit};
use super::measured_store::Measured;
use super::polling::Polling;
use super::rate_limit::RateLimit;
use super::status::{Lists, Source};
use super::storage::StorageWatch;
use super::take_backs::TakeBacks;
use crate::audit::NetworkNames;
use crate::config::DatabaseUrl;
use crate::keys::{Rules, Vault};
use crate::login::counters::Counters;
use crate::metrics::Metrics;
use crate::passkeys::challenge::Challenges;
use crate::passkeys::relying_party::RelyingParty;
use crate::sealing::{DeploymentSecret, FactorKey, MasterKeySource, Sealer};
use crate::store::{self, Missing, Store};
use crate::{Clock, Config, Error, Limits};

impl Issuer {
    /// Opens the database and reads the keys. Makes the database, and on loopback a master key, if
    /// there is none. `url` is the `iss` claim.
    ///
    /// # Errors
    ///
    /// If the database can't be used, or the master key does not open it. An existing database is
    /// then unchanged.
    pub(crate) async fn open(
        config: Arc<Config>,
        url: IssuerUrl,
        limits: Limits,
        clock: Clock,
        metrics: Arc<Metrics>,
    ) -> Result<Self, Error> {
        let opened = open_store(&config, &config.database, Missing::Make).await?;
        let Opened { store, sealer, secret, factor_key } = opened;
        let store: Arc<dyn Store> = Arc::new(Measured::new(store, Arc::clone(&metrics)));
        let clock_guard = Arc::new(ClockGuard::open(&*store, &config, clock.clone()).await?);
        let rules = Rules::new(&config);
        let may_step = clock_guard.is_sane();
        let (vault, key) = (Arc::clone(&store), Arc::clone(&sealer));
        let keys = KeyRing::open(vault, key, rules, clock.clone(), may_step);
        let keys = Arc::new(keys.await?);
        let status_lists = Lists::new(
            Source {
                issuer: url.clone(),
                store: Arc::clone(&store),
                keys: Arc::clone(&keys),
                clock: clock.clone(),
                clock_guard: Arc::clone(&clock_guard),
                token_end: config.token_end(),
            },
            limits.status_list_size,
        );
        let cost = Cost::configured(&config);
        let parallel = limits.hashes.min(config.parallel_hashes());
        let hasher =
            Hasher::new(cost, parallel, limits.hash_queue)?.timed_by(metrics.hash_seconds.clone());
        let network_key = secret.derive("countersign audit v1")?;
        let network_names = Arc::new(NetworkNames::new(config.audit_network, network_key));
        Ok(Self {
            password_checks: Arc::new(Semaphore::new(1)),
            login_limit: RateLimit::new(config.login_rate, limits.login_window),
            admin_limit: RateLimit::new(limits.admin_requests, limits.admin_window),
            change_limit: RateLimit::new(limits.factor_changes, limits.change_window),
            additions: Additions::default(),
            take_backs: TakeBacks::new(),
            storage_watch: StorageWatch::default(),
            failed_logins: FailedLogins::new(Arc::clone(&network_names)),
            network_names,
            refresh_key: secret.refresh_key()?,
            counters: Counters::new(secret.derive("countersign logins v1")?),
            relying_party: config
                .passkey_site(url.as_str())
                .map(|site| RelyingParty::new(&site.rp_id, &site.origins)),
            challenges: Challenges::new(secret.derive("countersign passkeys v1")?),
            config,
            limits,
            url,
            clock,
            clock_guard,
            store,
            database_probe: DatabaseProbe::default(),
            polling: Polling::new(),
            keys,
            sealer,
            totp_sealer: factor_key.sealer()?,
            hasher,
            metrics,
            status_lists,
        })
    }
}

/// A database with the master key that opens its signing keys, its deployment secret, and the key of its
/// TOTP secrets.
pub(crate) struct Opened {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) sealer: Arc<Sealer>,
    pub(crate) secret: DeploymentSecret,
    pub(crate) factor_key: FactorKey,
}

/// Opens the database and the master key together. If either can't be used, the other is neither
/// made nor changed.
pub(crate) async fn open_store(
    config: &Config,
    database: &DatabaseUrl,
    missing: Missing,
) -> Result<Opened, Error> {
    let source = master_key(config, database)?;
    let admit = |vault: &Vault| {
        let sealer = source.resolve(!vault.is_empty())?.sealer()?;
        vault.check(&sealer)?;
        let secret = vault.secret.as_ref();
        let secret = secret.and_then(|sealed| DeploymentSecret::open(sealed, &sealer));
        let factor_key = vault.factor_key.as_ref();
        let factor_key = factor_key.and_then(|sealed| FactorKey::open(sealed, &sealer));
        let are_stored = secret.is_some() && factor_key.is_some();
        let secret = secret.map_or_else(DeploymentSecret::random, Ok)?;
        let factor_key = factor_key.map_or_else(FactorKey::random, Ok)?;
        Ok((Arc::new(sealer), secret, factor_key, are_stored))
    };
    let (store, opened) = store::open(database, missing, admit).await?;
    let (sealer, secret, factor_key, are_stored) = opened;
    let (secret, factor_key) = if are_stored {
        (secret, factor_key)
    } else {
        deposit(&*store, &sealer, &secret, &factor_key).await?
    };
    Ok(Opened { store, sealer, secret, factor_key })
}

/// Checks that [`open_store`] would succeed for `serve`, and makes and changes nothing. With
/// `offline`, checks only the master key.
pub(crate) async fn check_store(config: &Config, offline: bool) -> Result<(), Error> {
    let source = master_key(config, &config.database)?;
    if offline {
        return Ok(());
    }
    let admit = |vault: &Vault| match source.existing(!vault.is_empty())? {
        Some(key) => vault.check(&key.sealer()?),
        None => Ok(()),
    };
    store::check(&config.database, admit).await
}

fn master_key(config: &Config, database: &DatabaseUrl) -> Result<MasterKeySource, Error> {
    MasterKeySource::find(config, database, config.listen.ip().is_loopback())
}

/// Opens the database to change its keys; returns the time of the change. Refuses while the clock is
/// behind, because the keys would get times that are too early.
pub(crate) async fn open_to_change(config: &Config, clock: &Clock) -> Result<(Opened, u64), Error> {
    let opened = open_store(config, &config.database, Missing::Refuse).await?;
    let now = clock.now();
    match later_time_seen(&*opened.store, config, now).await? {
        Some(later) => Err(Error::Refused(behind_message(now, later))),
        None => Ok((opened, now)),
    }
}
