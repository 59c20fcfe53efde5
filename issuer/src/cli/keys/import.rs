use std::io::Read as _;
use std::path::Path;

use zeroize::Zeroizing;

use super::{open_to_change, print, signs_in, warn_if_others_read};
use crate::keys::{KeyRecord, KeyState, Request, Rules};
use crate::service::keys::{advance, signing};
use crate::{Config, Error, pem, service};

/// More than any PEM file with a key of 4096 bits and its certificates.
const MOST: usize = 64 * 1024;

/// `keys import FILE`: the key in FILE is the next one to sign, in the place of the one that was.
pub(in crate::cli) async fn import(config: &Config, file: &Path) -> Result<(), Error> {
    let shown = file.display();
    let text = read(file).map_err(|e| Error::Refused(format!("cannot read {shown}: {e}")))?;
    let pair = pem::rsa_key_pair(&text);
    let pair = pair.map_err(|wrong| Error::Refused(format!("{shown} {wrong}")))?;
    warn_if_others_read(file);

    let (service::Opened { store, sealer, .. }, now) = open_to_change(config).await?;
    let rules = Rules::new(config);
    let key = signing::record(&pair, &sealer, now)?;
    let kid = key.kid.clone();
    let has_it = |keys: &[KeyRecord]| keys.iter().any(|key| key.kid == kid);
    let before = store.keys().await?;
    if has_it(&before) {
        return Err(Error::Refused(format!("key {kid} is there already; see keys list")));
    }
    let request = Request::Import(Box::new(key));
    let records = advance(&*store, &sealer, rules, now, request).await?;
    let wait = signs_in(&rules, &records, now);
    let replaced = before.iter().find(|key| key.state == KeyState::Published);
    let replaced = replaced.map_or(String::new(), |key| {
        format!("; key {}, which never signed, is gone for it", key.kid)
    });
    print(&format!(
        "key {kid} is published{replaced}\n\
         it signs in {wait} s by itself, or with keys rotate as soon as every cache can have it\n\
         {shown} is needed no more; delete it wherever it is\n"
    ))
}

fn read(file: &Path) -> std::io::Result<Zeroizing<String>> {
    // At its final size at once: a text that grows leaves copies behind.
    let mut text = Zeroizing::new(String::with_capacity(MOST + 1));
    std::fs::File::open(file)?.take(MOST as u64 + 1).read_to_string(&mut text)?;
    if text.len() > MOST {
        return Err(std::io::Error::other("it is too long for a key"));
    }
    Ok(text)
}
