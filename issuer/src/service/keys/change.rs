//! Changes of the keys in the database, by a running issuer when a step is due, and by commands.

use std::sync::Arc;

use super::signing;
use crate::Error;
use crate::audit::Actor;
use crate::keys::{KeyRecord, Request, Rules, Vault, open_under, wrong_master_key};
use crate::sealing::{DeploymentSecret, FactorKey, Sealer};
use crate::store::{Store, StoreError};

/// Takes the steps that are due at `now`, applies `request`, and returns the resulting keys.
///
/// # Errors
///
/// [`ChangeError::MasterKey`] if the database has another master key by now. Nothing is written
/// then, because issuers with the new master key could not open it.
pub(crate) async fn advance(
    store: &dyn Store,
    sealer: &Arc<Sealer>,
    rules: Rules,
    request: Request,
    by: Actor,
    now: u64,
) -> Result<Vec<KeyRecord>, ChangeError> {
    let stored = read(store, sealer).await?;
    let asked = request.apply(&stored, now);
    let mut spares = Vec::new();
    for _ in 0..rules.spares_needed(&asked, now) {
        let sealer = Arc::clone(sealer);
        let make = move || signing::generate(&sealer, rules.bits, now);
        let made = tokio::task::spawn_blocking(make).await;
        let made = made.map_err(|_| Error::System("a key pair can't be made".to_owned()))?;
        spares.push(made?);
    }
    if rules.step(&asked, now, &spares) == stored {
        return Ok(stored);
    }
    // Decided again within the transaction, because another process may have changed the keys in
    // between.
    let step = move |vault: &Vault| Vault {
        keys: rules.step(&request.apply(&vault.keys, now), now, &spares),
        ..vault.clone()
    };
    Ok(change(store, sealer, step, by, now).await?.keys)
}

/// Reads the stored keys.
///
/// # Errors
///
/// The same as for [`advance`].
pub(super) async fn read(
    store: &dyn Store,
    sealer: &Sealer,
) -> Result<Vec<KeyRecord>, ChangeError> {
    let stored = store.keys().await?;
    if open_under(&stored, sealer) { Ok(stored) } else { Err(ChangeError::MasterKey) }
}

/// Returns the deployment secret of the database and the key of its TOTP secrets. Stores the given ones
/// if there are none.
pub(crate) async fn deposit(
    store: &dyn Store,
    sealer: &Arc<Sealer>,
    secret: &DeploymentSecret,
    factor_key: &FactorKey,
) -> Result<(DeploymentSecret, FactorKey), ChangeError> {
    let (secret, factor_key) = (secret.seal(sealer)?, factor_key.seal(sealer)?);
    let put = move |vault: &Vault| Vault {
        secret: vault.secret.clone().or_else(|| Some(secret.clone())),
        factor_key: vault.factor_key.clone().or_else(|| Some(factor_key.clone())),
        ..vault.clone()
    };
    // The audit log has no event for this, so that no time is needed.
    let vault = change(store, sealer, put, Actor::default(), 0).await?;
    let secret = vault.secret.and_then(|sealed| DeploymentSecret::open(&sealed, sealer));
    let factor_key = vault.factor_key.and_then(|sealed| FactorKey::open(&sealed, sealer));
    secret.zip(factor_key).ok_or(ChangeError::MasterKey)
}

/// Replaces the deployment secret. Issuers that start from now on refuse all earlier refresh tokens
/// and device cookies.
pub(crate) async fn exchange_secret(
    store: &dyn Store,
    sealer: &Arc<Sealer>,
    now: u64,
) -> Result<(), ChangeError> {
    let new = DeploymentSecret::random()?.seal(sealer)?;
    let put = move |vault: &Vault| Vault { secret: Some(new.clone()), ..vault.clone() };
    change(store, sealer, put, Actor::default(), now).await.map(drop)
}

/// Seals everything under the master key of `to` instead of `from`, in one transaction. A crash
/// leaves all of it under one of the two.
pub(crate) async fn rewrap(
    store: &dyn Store,
    from: &Arc<Sealer>,
    to: &Arc<Sealer>,
    now: u64,
) -> Result<(), ChangeError> {
    let (old, new) = (Arc::clone(from), Arc::clone(to));
    // If `from` does not open it, an earlier attempt may have been committed.
    let reseal = move |vault: &Vault| resealed(vault, &old, &new).unwrap_or_else(|| vault.clone());
    let vault = store.change_keys(Box::new(reseal), Actor::default(), now).await?;
    if vault.opens_under(to) { Ok(()) } else { Err(ChangeError::MasterKey) }
}

pub(super) fn resealed(vault: &Vault, from: &Sealer, to: &Sealer) -> Option<Vault> {
    let reseal = |sealed: &[u8], context: &str| {
        let plain = from.open(sealed, context)?;
        to.seal(&plain, context).ok()
    };
    let key =
        |key: &KeyRecord| Some(KeyRecord { sealed: reseal(&key.sealed, &key.kid)?, ..key.clone() });
    let secret = |sealed: &Option<Vec<u8>>, name| match sealed {
        Some(sealed) => reseal(sealed, name).map(Some),
        None => Some(None),
    };
    Some(Vault {
        keys: vault.keys.iter().map(key).collect::<Option<_>>()?,
        secret: secret(&vault.secret, DeploymentSecret::NAME)?,
        factor_key: secret(&vault.factor_key, FactorKey::NAME)?,
    })
}

/// Applies `change` to the vault, unless the database has another master key by now.
pub(super) async fn change(
    store: &dyn Store,
    sealer: &Arc<Sealer>,
    change: impl Fn(&Vault) -> Vault + Send + Sync + 'static,
    by: Actor,
    now: u64,
) -> Result<Vault, ChangeError> {
    let ours = Arc::clone(sealer);
    let guarded = move |vault: &Vault| {
        if vault.opens_under(&ours) { change(vault) } else { vault.clone() }
    };
    let vault = store.change_keys(Box::new(guarded), by, now).await?;
    if vault.opens_under(sealer) { Ok(vault) } else { Err(ChangeError::MasterKey) }
}

/// The reason why the keys were not changed.
#[derive(Debug)]
pub(crate) enum ChangeError {
    Store(StoreError),
    /// The database has another master key by now.
    MasterKey,
    Key(Error),
}

impl From<StoreError> for ChangeError {
    fn from(e: StoreError) -> Self {
        Self::Store(e)
    }
}

impl From<Error> for ChangeError {
    fn from(e: Error) -> Self {
        Self::Key(e)
    }
}

impl From<ChangeError> for Error {
    fn from(e: ChangeError) -> Self {
        match e {
            ChangeError::Store(e) => e.into(),
            ChangeError::MasterKey => wrong_master_key(),
            ChangeError::Key(e) => e,
        }
    }
}
