//! Changes of the keys that an operator asks for.

use std::sync::Arc;

use super::change::advance;
use crate::Error;
use crate::audit::Actor;
use crate::keys::{KeyRecord, KeyState, Request, Rules, in_state};
use crate::sealing::Sealer;
use crate::store::Store;

/// The result of [`rotate`].
pub(crate) struct Rotated {
    pub(crate) signing_kid: String,
    /// The seconds until the next key signs; 0 if it signs already.
    pub(crate) next_signs_in: u64,
    /// The next key signs already.
    pub(crate) has_switched: bool,
}

/// Lets the next key sign as soon as every cache can have it.
pub(crate) async fn rotate(
    store: &dyn Store,
    sealer: &Arc<Sealer>,
    rules: Rules,
    by: Actor,
    now: u64,
) -> Result<Rotated, Error> {
    let before = signer(&store.keys().await?);
    let records = advance(store, sealer, rules, Request::Rotate, by, now).await?;
    let signing_kid = signer(&records);
    let has_switched = before != signing_kid;
    let next_signs_in = if has_switched { 0 } else { rules.signs_in(&records, now) };
    Ok(Rotated { signing_kid, next_signs_in, has_switched })
}

/// The result of [`revoke`].
pub(crate) struct Revoked {
    pub(crate) signing_kid: String,
    /// The key that was revoked had signed until now.
    pub(crate) has_switched: bool,
}

/// Removes a key whose private key may be known to others. Returns `None` if there is no such key.
pub(crate) async fn revoke(
    store: &dyn Store,
    sealer: &Arc<Sealer>,
    rules: Rules,
    kid: &str,
    by: Actor,
    now: u64,
) -> Result<Option<Revoked>, Error> {
    let before = store.keys().await?;
    if !before.iter().any(|record| record.kid == kid) {
        return Ok(None);
    }
    let request = Request::Revoke(kid.to_owned());
    let records = advance(store, sealer, rules, request, by, now).await?;
    let signing_kid = signer(&records);
    Ok(Some(Revoked { has_switched: signer(&before) != signing_kid, signing_kid }))
}

/// Returns the kid of the key that signs.
fn signer(records: &[KeyRecord]) -> String {
    in_state(records, KeyState::Active).map(|record| record.kid.clone()).unwrap_or_default()
}
