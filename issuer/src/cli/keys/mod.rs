//! The commands of `keys`.

mod import;
mod plan;
mod rewrap;

use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::json;

use super::output::Output;
use super::{complain, existing};
use crate::audit::Actor;
use crate::keys::{ListedKey, Rules};
use crate::service::keys;
use crate::service::keys::operator::{self, Revoked, Rotated};
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
    let keys = Rules::new(config).list(&records);
    let object = |key: &ListedKey<'_>| {
        json!({
            "kid": key.record.kid,
            "state": key.record.state.name(),
            "created_at": key.record.published_at,
            "activates_at": key.activates_at,
            "retires_at": key.retires_at,
            "drops_at": key.record.drops_at,
            "bits": key.record.bits,
        })
    };
    let line = |key: &ListedKey<'_>| {
        let time = |name, at: Option<u64>| at.map_or(String::new(), |at| format!("\t{name} {at}"));
        format!(
            "{}\t{}{}{}{}\n",
            key.record.kid,
            key.record.state.name(),
            time("activates", key.activates_at),
            time("retires", key.retires_at),
            time("drops", key.record.drops_at),
        )
    };
    output.print(&keys.iter().map(line).collect::<String>(), &keys.iter().map(object).collect())
}

async fn rotate(config: &Config, output: Output) -> Result<(), Error> {
    let (service::Opened { store, sealer, .. }, now) =
        service::open_to_change(config, &Clock::system()).await?;
    let rotated =
        operator::rotate(&*store, &sealer, Rules::new(config), Actor::default(), now).await?;
    let Rotated { signing_kid, next_signs_in, has_switched } = rotated;
    let text = if has_switched {
        format!("key {signing_kid} signs from now on\n")
    } else {
        format!(
            "the next key signs in {next_signs_in} s, when every cache can have it; a running \
             issuer switches by itself\n"
        )
    };
    output.print(&text, &json!({ "signing_kid": signing_kid, "next_signs_in": next_signs_in }))
}

/// Removes a key whose private key may be known to others.
async fn revoke(config: &Config, kid: &str, output: Output) -> Result<(), Error> {
    let (service::Opened { store, sealer, .. }, now) =
        service::open_to_change(config, &Clock::system()).await?;
    let rules = Rules::new(config);
    let revoked = operator::revoke(&*store, &sealer, rules, kid, Actor::default(), now).await?;
    let Revoked { signing_kid, has_switched } =
        revoked.ok_or_else(|| Error::Refused(format!("there is no key {kid}; see keys list")))?;
    let caches = config.jwks_max_age.as_secs();
    let mut text = format!(
        "key {kid} is no longer in the key set; verifiers refuse its tokens once they have \
         fetched the new set, within {caches} s\n"
    );
    if has_switched {
        text += &format!("key {signing_kid} signs from now on\n");
    }
    output.print(&text, &json!({ "revoked_kid": kid, "signing_kid": signing_kid }))
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

/// Warns about a file with a private key that other users of this machine may read.
fn warn_if_others_read(file: &Path) {
    if let Some(warning) = files::warning_of_others(file) {
        complain(&format!("warning: {warning}"));
    }
}
