//! `keys import`.

use std::path::Path;

use serde_json::json;

use super::{Output, warn_if_others_read};
use crate::audit::Actor;
use crate::keys::{KeyRecord, KeyState, Request, Rules};
use crate::service::keys::{advance, signing};
use crate::{Clock, Config, Error, files, pem, service};

/// Makes the key in a file the next one to sign. It replaces the key that would have been the next.
pub(super) async fn import(config: &Config, file: &Path, output: Output) -> Result<(), Error> {
    let shown = file.display();
    let text =
        files::read_text(file).map_err(|e| Error::Refused(format!("cannot read {shown}: {e}")))?;
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
    let records = advance(&*store, &sealer, rules, request, Actor::default(), now).await?;
    let wait = rules.signs_in(&records, now);
    let replaced = before.iter().find(|key| key.state == KeyState::Published).map(|key| &key.kid);
    let replaces = replaced
        .map_or(String::new(), |kid| format!("; it replaces key {kid}, which never signed"));
    let text = format!(
        "key {kid} is published{replaces}\n\
         it signs in {wait} s by itself, or after keys rotate as soon as every cache can have it\n\
         next: delete {shown} and every copy of it; the issuer does not need the file any more\n"
    );
    output.print(&text, &json!({ "kid": kid, "signs_in": wait, "replaced_kid": replaced }))
}
