//! Confidential clients (RFC 6749 §2.1) and the changes that operators make to them. Pure rules: a
//! store reads the row, applies the change, and writes the result in the same transaction.

use crate::audit::Event;

/// A confidential client as the store keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Client {
    /// With a prefix, so that no id equals a user's (RFC 9068 §5).
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) scope: String,
    /// SHA-256 of the secret.
    pub(crate) secret_hash: Vec<u8>,
    /// A locked client cannot authenticate.
    pub(crate) locked: bool,
    pub(crate) created_at: u64,
    /// The claims of its own in its access tokens: a JSON object, or empty for none.
    pub(crate) claims: String,
    /// The audiences that it may ask for besides the default one, separated by spaces (RFC 8707).
    pub(crate) audiences: String,
}

/// A change of one client.
#[derive(Clone, Debug)]
pub(crate) enum ClientChange {
    /// Sets the SHA-256 of a new secret.
    Secret(Vec<u8>),
    Locked(bool),
    Scope(String),
}

impl ClientChange {
    /// Applies the change: returns the row to write and the event to audit. Returns `None` if it
    /// changes nothing; then nothing is written or audited.
    pub(crate) fn apply(&self, client: &Client) -> Option<(Client, Event)> {
        let (changed, event) = match self {
            Self::Secret(hash) => {
                let changed = Client { secret_hash: hash.clone(), ..client.clone() };
                (changed, Event::ClientSecretChanged)
            }
            Self::Locked(locked) => {
                let event = if *locked { Event::ClientLocked } else { Event::ClientUnlocked };
                (Client { locked: *locked, ..client.clone() }, event)
            }
            Self::Scope(scope) => {
                (Client { scope: scope.clone(), ..client.clone() }, Event::ClientScopeChanged)
            }
        };
        (changed != *client).then_some((changed, event))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_change_has_its_event_and_none_when_it_is_repeated() {
        let client = Client {
            id: "client_x".to_owned(),
            name: "worker".to_owned(),
            scope: String::new(),
            secret_hash: vec![1],
            locked: false,
            created_at: 7,
            claims: String::new(),
            audiences: String::new(),
        };
        let locked = Client { locked: true, ..client.clone() };
        let scoped = Client { scope: "read".to_owned(), ..client.clone() };
        let new = Client { secret_hash: vec![2], ..client.clone() };
        for (change, before, after, event) in [
            (ClientChange::Secret(vec![2]), &client, &new, Event::ClientSecretChanged),
            (ClientChange::Locked(true), &client, &locked, Event::ClientLocked),
            (ClientChange::Scope("read".into()), &client, &scoped, Event::ClientScopeChanged),
            (ClientChange::Locked(false), &locked, &client, Event::ClientUnlocked),
        ] {
            assert_eq!(change.apply(before), Some((after.clone(), event)), "{change:?}");
            assert_eq!(change.apply(after), None, "{change:?}");
        }
    }
}
