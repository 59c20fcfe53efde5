//! `keys import`.

use std::io::Read as _;
use std::path::Path;

use zeroize::Zeroizing;

use super::{print, signs_in, warn_if_others_read};
use crate::keys::{KeyRecord, KeyState, Request, Rules};
use crate::service::keys::{advance, signing};
use crate::{Clock, Config, Error, pem, service};

/// The maximum length of the file: more than a key of 4096 bits and its certificates need.
const MAX_BYTES: usize = 64 * 1024;

/// Makes the key in a file the next one to sign. It replaces the key that would have been the next.
pub(super) async fn import(config: &Config, file: &Path) -> Result<(), Error> {
    let shown = file.display();
    let text = read(file).map_err(|e| Error::Refused(format!("cannot read {shown}: {e}")))?;
    let pair = pem::rsa_key_pair(&text);
    let pair = pair.map_err(|wrong| Error::Refused(format!("{shown} {wrong}")))?;
    warn_if_others_read(file);

    let (service::Opened { store, sealer, .. }, now) =
        service::open_to_change(config, &Clock::system()).await?;
    let rules = Rules::new(config);
    let key = signing::record(&pair, &sealer, now)?;
    let kid = key.kid.clone();
    let has_it = |keys: &[KeyRecord]| keys.iter().any(|key| key.kid == kid);
    let before = store.keys().await?;
    if has_it(&before) {
        return Err(Error::Refused(format!("key {kid} is in the database already; see keys list")));
    }
    let request = Request::Import(Box::new(key));
    let records = advance(&*store, &sealer, rules, now, request).await?;
    let wait = signs_in(&rules, &records, now);
    let replaced = before.iter().find(|key| key.state == KeyState::Published);
    let replaced = replaced
        .map_or(String::new(), |key| format!("; it replaces key {}, which never signed", key.kid));
    print(&format!(
        "key {kid} is published{replaced}\n\
         it signs in {wait} s by itself, or after keys rotate as soon as every cache can have it\n\
         next: delete {shown} and every copy of it; the issuer does not need the file any more\n"
    ))
}

fn read(file: &Path) -> std::io::Result<Zeroizing<String>> {
    // Allocated at its maximum size: a text that grows leaves copies in memory.
    let mut text = Zeroizing::new(String::with_capacity(MAX_BYTES + 1));
    std::fs::File::open(file)?.take(MAX_BYTES as u64 + 1).read_to_string(&mut text)?;
    if text.len() > MAX_BYTES {
        return Err(std::io::Error::other("the file is too long for a key"));
    }
    Ok(text)
}
