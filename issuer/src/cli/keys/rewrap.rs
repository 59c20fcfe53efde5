use std::path::Path;
use std::sync::Arc;

use super::{print, warn_if_others_read};
use crate::config::DatabaseUrl;
use crate::sealing::{MasterKey, MasterKeySource};
use crate::service::keys;
use crate::store::Missing;
use crate::{Clock, Config, Error, service};

/// `keys rewrap --to FILE`: seals every private key and the deployment secret under the master key
/// in FILE, in the place of the one that is configured.
pub(in crate::cli) async fn rewrap(config: &Config, to: &Path) -> Result<(), Error> {
    let new = MasterKey::read(to)?;
    warn_if_others_read(to);
    let database = DatabaseUrl::parse(&config.database)?;
    let shown = to.display();
    if matches!(MasterKeySource::find(config, &database, false)?, MasterKeySource::Given(old) if old == new)
    {
        return Err(Error::Refused(format!(
            "{shown} holds the master key that is configured; make another one with: openssl rand \
             -base64 32"
        )));
    }
    let is = match service::open_store(config, &database, Missing::Refuse).await {
        Ok(service::Opened { store, sealer, .. }) => {
            let new = Arc::new(new.sealer()?);
            keys::rewrap(&*store, &sealer, &new, Clock::system().now()).await?;
            "is sealed under"
        }
        // An earlier run may have been cut off before it could say that it was done.
        Err(e @ Error::MasterKey(_)) => {
            let mut with_new = config.clone();
            with_new.master_key = None;
            with_new.master_key_file = Some(to.to_owned());
            let opened = service::open_store(&with_new, &database, Missing::Refuse).await;
            opened.map_err(|_| e)?;
            "was sealed already under"
        }
        Err(e) => return Err(e),
    };
    print(&format!(
        "all of the database {is} the master key in {shown}\n\
         next: {}, on every issuer, and restart it; until then it signs with what it has, and \
         changes no key\n\
         keep the old master key for as long as you keep backups from before\n",
        how_to_set(config, &database, to),
    ))
}

/// What has to be set so that an issuer has the new master key.
fn how_to_set(config: &Config, database: &DatabaseUrl, to: &Path) -> String {
    let shown = to.display();
    match database {
        _ if config.master_key.is_some() => {
            format!("set master_key to what {shown} holds, or master_key_file to {shown} instead")
        }
        DatabaseUrl::Sqlite(database) if config.master_key_file.is_none() => format!(
            "put {shown} in the place of {}.master-key, or set master_key_file to {shown}",
            database.display()
        ),
        _ => format!("set master_key_file to {shown}"),
    }
}
