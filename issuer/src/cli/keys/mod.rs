mod import;
mod plan;
mod rewrap;

use std::path::Path;

use serde_json::json;

use super::{complain, existing, print};
use crate::config::DatabaseUrl;
use crate::keys::{KeyRecord, KeyState, Request, Rules};
use crate::service::keys::{self, advance};
use crate::store::Missing;
use crate::{Clock, Config, Error, service};
pub(super) use import::import;
pub(super) use plan::plan;
pub(super) use rewrap::rewrap;

/// `keys list [--json]`.
pub(super) async fn list(config: &Config, as_json: bool) -> Result<(), Error> {
    let records = existing(config).await?.keys().await?;
    let switches_at = Rules::new(config).switches_at(&records);
    let rows = records.iter().map(|record| KeyRow::new(record, switches_at));
    if as_json {
        let rows: Vec<_> = rows
            .map(|row| {
                json!({
                    "kid": row.record.kid,
                    "state": row.record.state.name(),
                    "created_at": row.record.published_at,
                    "activates_at": row.activates_at,
                    "retires_at": row.retires_at,
                    "drops_at": row.record.drops_at,
                    "bits": row.record.bits,
                })
            })
            .collect();
        return print(&format!("{}\n", json!(rows)));
    }
    let line = |row: KeyRow<'_>| {
        let time = |name, at: Option<u64>| at.map_or(String::new(), |at| format!("\t{name} {at}"));
        format!(
            "{}\t{}{}{}{}\n",
            row.record.kid,
            row.record.state.name(),
            time("activates", row.activates_at),
            time("retires", row.retires_at),
            time("drops", row.record.drops_at),
        )
    };
    print(&rows.map(line).collect::<String>())
}

/// A key with its times as they were or, for what is still to come, as they are planned.
struct KeyRow<'a> {
    record: &'a KeyRecord,
    activates_at: Option<u64>,
    retires_at: Option<u64>,
}

impl<'a> KeyRow<'a> {
    fn new(record: &'a KeyRecord, switches_at: Option<u64>) -> Self {
        let (activates_at, retires_at) = match record.state {
            KeyState::Published => (switches_at, None),
            KeyState::Active => (record.activates_at, switches_at),
            KeyState::Retiring => (record.activates_at, record.retired_at),
        };
        Self { record, activates_at, retires_at }
    }
}

/// `keys rotate`.
pub(super) async fn rotate(config: &Config) -> Result<(), Error> {
    let (service::Opened { store, sealer, .. }, now) = open_to_change(config).await?;
    let rules = Rules::new(config);
    let before = signer(&store.keys().await?);
    let records = advance(&*store, &sealer, rules, now, Request::Rotate).await?;
    let after = signer(&records);
    if before != after {
        return print(&format!("key {after} signs from now on\n"));
    }
    let wait = signs_in(&rules, &records, now);
    print(&format!(
        "the next key signs in {wait} s, when every cache can have it; a running issuer does that \
         by itself\n"
    ))
}

/// `keys revoke KID`: for when a private key may be in other hands.
pub(super) async fn revoke(config: &Config, kid: &str) -> Result<(), Error> {
    let (service::Opened { store, sealer, .. }, now) = open_to_change(config).await?;
    let rules = Rules::new(config);
    let before = store.keys().await?;
    if !before.iter().any(|record| record.kid == kid) {
        return Err(Error::Refused(format!("there is no key {kid}; see keys list")));
    }
    let records = advance(&*store, &sealer, rules, now, Request::Revoke(kid.to_owned())).await?;
    let caches = config.jwks_max_age.as_secs();
    let mut text = format!(
        "key {kid} is gone from the key set; verifiers refuse its tokens when they have fetched \
         that, within {caches} s\n"
    );
    let after = signer(&records);
    if signer(&before) != after {
        text += &format!("key {after} signs from now on\n");
    }
    print(&text)
}

/// `keys exchange-secret`: for when the database was copied along with the master key.
pub(super) async fn exchange_secret(config: &Config) -> Result<(), Error> {
    let (service::Opened { store, sealer, .. }, now) = open_to_change(config).await?;
    keys::exchange_secret(&*store, &sealer, now).await?;
    print(
        "refresh tokens and the cookies of known devices are made with another secret by every \
         issuer that starts from now on\n\
         next: restart all issuers; everybody has to log in again then, and access tokens that are \
         out live on for up to access_ttl\n",
    )
}

/// The database with its keys, to change them now; refused while the clock is behind, because keys
/// would get times that lie before others.
async fn open_to_change(config: &Config) -> Result<(service::Opened, u64), Error> {
    let database = DatabaseUrl::parse(&config.database)?;
    let opened = service::open_store(config, &database, Missing::Refuse).await?;
    let now = Clock::system().now();
    match service::later_time_seen(&*opened.store, config, now).await? {
        Some(latest) => Err(Error::Refused(service::behind_message(now, latest))),
        None => Ok((opened, now)),
    }
}

/// The seconds until the next key signs.
fn signs_in(rules: &Rules, records: &[KeyRecord], now: u64) -> u64 {
    rules.switches_at(records).unwrap_or(now).saturating_sub(now)
}

/// The kid of the key that signs.
fn signer(records: &[KeyRecord]) -> String {
    let active = records.iter().find(|record| record.state == KeyState::Active);
    active.map(|record| record.kid.clone()).unwrap_or_default()
}

/// A private key that everybody on the machine can read is none.
fn warn_if_others_read(file: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(file).map(|about| about.permissions().mode());
    if mode.is_ok_and(|mode| mode & 0o077 != 0) {
        let shown = file.display();
        complain(&format!("warning: others on this machine may read {shown}; chmod 600 {shown}"));
    }
}
