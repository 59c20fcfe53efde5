//! The commands of `keys`.

mod import;
mod plan;
mod rewrap;

use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::json;

use super::output::Output;
use super::{complain, existing};
use crate::keys::{KeyRecord, KeyState, Request, Rules};
use crate::service::keys::{self, advance};
use crate::{Clock, Config, Error, files, service};

#[derive(Subcommand)]
pub(super) enum Command {
    /// List the keys and their states
    List,
    /// Draw the past and planned states of the keys over time
    Plan,
    /// Let the next key sign as soon as every cache can have it
    Rotate,
    /// Remove a key at once; if it signs, the next key signs from now on
    Revoke {
        /// As in keys list
        // One in 64 key ids begins with a hyphen.
        #[arg(allow_hyphen_values = true)]
        kid: String,
    },
    /// Make all refresh tokens invalid: everybody has to log in again
    ExchangeSecret,
    /// Make the key in a file the next one
    Import {
        /// RSA private key, PEM: PKCS#8 or PKCS#1
        file: PathBuf,
    },
    /// Seal all keys under another master key; everybody stays logged in
    Rewrap {
        /// File with the new master key
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
    },
}

impl Command {
    pub(super) async fn run(&self, config: &Config, output: Output) -> Result<(), Error> {
        match self {
            Self::List => list(config, output).await,
            Self::Plan => plan::plan(config, output).await,
            Self::Rotate => rotate(config, output).await,
            Self::Revoke { kid } => revoke(config, kid, output).await,
            Self::ExchangeSecret => exchange_secret(config, output).await,
            Self::Import { file } => import::import(config, file, output).await,
            Self::Rewrap { to } => rewrap::rewrap(config, to, output).await,
        }
    }
}

async fn list(config: &Config, output: Output) -> Result<(), Error> {
    let records = existing(config).await?.keys().await?;
    let switches_at = Rules::new(config).switches_at(&records);
    let rows = || records.iter().map(|record| KeyRow::new(record, switches_at));
    let object = |row: KeyRow<'_>| {
        json!({
            "kid": row.record.kid,
            "state": row.record.state.name(),
            "created_at": row.record.published_at,
            "activates_at": row.activates_at,
            "retires_at": row.retires_at,
            "drops_at": row.record.drops_at,
            "bits": row.record.bits,
        })
    };
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
    output.print(&rows().map(line).collect::<String>(), &rows().map(object).collect())
}

/// A key with its times: past ones as they were, future ones as planned.
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

async fn rotate(config: &Config, output: Output) -> Result<(), Error> {
    let (service::Opened { store, sealer, .. }, now) =
        service::open_to_change(config, &Clock::system()).await?;
    let rules = Rules::new(config);
    let before = signer(&store.keys().await?);
    let records = advance(&*store, &sealer, rules, now, Request::Rotate).await?;
    let after = signer(&records);
    let wait = if before == after { signs_in(&rules, &records, now) } else { 0 };
    let text = if before == after {
        format!(
            "the next key signs in {wait} s, when every cache can have it; a running issuer \
             switches by itself\n"
        )
    } else {
        format!("key {after} signs from now on\n")
    };
    output.print(&text, &json!({ "signing_kid": after, "next_signs_in": wait }))
}

/// Removes a key whose private key may be known to others.
async fn revoke(config: &Config, kid: &str, output: Output) -> Result<(), Error> {
    let (service::Opened { store, sealer, .. }, now) =
        service::open_to_change(config, &Clock::system()).await?;
    let rules = Rules::new(config);
    let before = store.keys().await?;
    if !before.iter().any(|record| record.kid == kid) {
        return Err(Error::Refused(format!("there is no key {kid}; see keys list")));
    }
    let records = advance(&*store, &sealer, rules, now, Request::Revoke(kid.to_owned())).await?;
    let caches = config.jwks_max_age.as_secs();
    let mut text = format!(
        "key {kid} is no longer in the key set; verifiers refuse its tokens once they have \
         fetched the new set, within {caches} s\n"
    );
    let after = signer(&records);
    if signer(&before) != after {
        text += &format!("key {after} signs from now on\n");
    }
    output.print(&text, &json!({ "revoked_kid": kid, "signing_kid": after }))
}

/// Replaces the deployment secret, after somebody may have copied the database and the master key.
async fn exchange_secret(config: &Config, output: Output) -> Result<(), Error> {
    let (service::Opened { store, sealer, .. }, now) =
        service::open_to_change(config, &Clock::system()).await?;
    keys::exchange_secret(&*store, &sealer, now).await?;
    let text = "every issuer that starts from now on makes refresh tokens and device cookies with a \
                new secret\n\
                next: restart all issuers; then everybody has to log in again, and access tokens \
                that were issued before stay valid for up to access_ttl\n";
    output.print(text, &json!({ "exchanged": true }))
}

/// Returns the seconds until the next key signs.
fn signs_in(rules: &Rules, records: &[KeyRecord], now: u64) -> u64 {
    rules.switches_at(records).unwrap_or(now).saturating_sub(now)
}

/// Returns the kid of the key that signs.
fn signer(records: &[KeyRecord]) -> String {
    let active = records.iter().find(|record| record.state == KeyState::Active);
    active.map(|record| record.kid.clone()).unwrap_or_default()
}

/// Warns about a file with a private key that other users of this machine may read.
fn warn_if_others_read(file: &Path) {
    if let Some(warning) = files::warning_of_others(file) {
        complain(&format!("warning: {warning}"));
    }
}
