//! `keys rewrap`.

use std::path::Path;
use std::sync::Arc;

use serde_json::json;

use super::{Output, warn_if_others_read};
use crate::config::DatabaseUrl;
use crate::sealing::{MasterKey, MasterKeySource};
use crate::service::keys;
use crate::store::Missing;
use crate::{Clock, Config, Error, service};

/// Seals every private key and the deployment secret under the master key in a file, instead of the
/// configured one.
pub(super) async fn rewrap(config: &Config, to: &Path, output: Output) -> Result<(), Error> {
    let new = MasterKey::read(to)?;
    warn_if_others_read(to);
    let database = &config.database;
    let shown = to.display();
    if matches!(MasterKeySource::find(config, database, false)?, MasterKeySource::Given(old) if old == new)
    {
        return Err(Error::Refused(format!(
            "{shown} holds the configured master key; make a new one with: openssl rand -base64 32"
        )));
    }
    let is_done_now = match service::open_store(config, database, Missing::Refuse).await {
        Ok(service::Opened { store, sealer, .. }) => {
            let new = Arc::new(new.sealer()?);
            keys::rewrap(&*store, &sealer, &new, Clock::system().now()).await?;
            true
        }
        // An earlier run may have been interrupted after its work, before its message.
        Err(e @ Error::MasterKey(_)) => {
            let mut with_new = config.clone();
            with_new.master_key = None;
            with_new.master_key_file = Some(to.to_owned());
            let opened = service::open_store(&with_new, database, Missing::Refuse).await;
            opened.map_err(|_| e)?;
            false
        }
        Err(e) => return Err(e),
    };
    let is = if is_done_now { "is sealed under" } else { "was sealed already under" };
    let text = format!(
        "the database {is} the master key in {shown}\n\
         next: {}, for every issuer, and restart it; until then it signs with the keys it has and \
         changes none\n\
         keep the old master key as long as you keep backups from before\n",
        how_to_set(config, to),
    );
    output.print(&text, &json!({ "rewrapped": is_done_now }))
}

/// Returns the instruction that gives an issuer the new master key.
fn how_to_set(config: &Config, to: &Path) -> String {
    let shown = to.display();
    match &config.database {
        _ if config.master_key.is_some() => {
            format!(
                "set master_key to the content of {shown}, or master_key_file to {shown} instead"
            )
        }
        DatabaseUrl::Sqlite(database) if config.master_key_file.is_none() => format!(
            "replace {}.master-key by {shown}, or set master_key_file to {shown}",
            database.display()
        ),
        _ => format!("set master_key_file to {shown}"),
    }
}
