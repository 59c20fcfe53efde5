//! Confidential clients (RFC 6749 §2.1) and the changes that operators make to them. Pure rules: a
//! store reads the row, applies the change, and writes the result in the same transaction.

use crate::Error;
use crate::audit::Event;
use crate::config::Resource;
use crate::custom_claims::CustomClaims;
use crate::login::user_name;

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
    /// Its own claims in its access tokens.
    pub(crate) claims: CustomClaims,
    /// The audiences that it may choose besides the default one, separated by spaces (RFC 8707).
    pub(crate) audiences: String,
}

/// The most audiences that a client may choose among.
const MOST_AUDIENCES: usize = 16;

impl Client {
    pub(crate) fn audiences(&self) -> impl Iterator<Item = &str> {
        self.audiences.split_ascii_whitespace()
    }
}

/// Returns the audiences of a client, each once and with spaces between. Refuses one that no request
/// can name.
pub(crate) fn parse_audiences<'a>(
    audiences: impl Iterator<Item = &'a str>,
) -> Result<String, Error> {
    let mut once: Vec<&str> = Vec::new();
    for audience in audiences {
        audience.parse::<Resource>().map_err(|e| Error::Refused(e.to_string()))?;
        if !once.contains(&audience) {
            once.push(audience);
        }
        if once.len() > MOST_AUDIENCES {
            let line = format!("a client has at most {MOST_AUDIENCES} audiences; name fewer");
            return Err(Error::Refused(line));
        }
    }
    Ok(once.join(" "))
}

/// Checks a client's name. Only operators see the name: no token contains it.
///
/// # Errors
///
/// [`Error::Refused`] if no client can have this name.
pub(crate) fn check_name(name: &str) -> Result<(), Error> {
    let fit = |c: char| !c.is_control() && !c.is_whitespace() && !user_name::is_ignorable(c);
    if (1..=64).contains(&name.chars().count()) && name.chars().all(fit) {
        return Ok(());
    }
    Err(Error::Refused(format!(
        "{name:?} is not a client name; use 1 to 64 visible characters without spaces"
    )))
}

/// A change of one client.
#[derive(Clone, Debug)]
pub(crate) enum ClientChange {
    /// Sets the SHA-256 of a new secret.
    Secret(Vec<u8>),
    Locked(bool),
    Scope(String),
    /// Sets the client's own claims.
    Claims(CustomClaims),
    /// Sets the audiences that the client may choose: a result of [`parse_audiences`].
    Audiences(String),
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
            Self::Claims(claims) => {
                (Client { claims: claims.clone(), ..client.clone() }, Event::ClientClaimsChanged)
            }
            Self::Audiences(audiences) => {
                let changed = Client { audiences: audiences.clone(), ..client.clone() };
                (changed, Event::ClientAudiencesChanged)
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
            claims: CustomClaims::default(),
            audiences: String::new(),
        };
        let locked = Client { locked: true, ..client.clone() };
        let scoped = Client { scope: "read".to_owned(), ..client.clone() };
        let claims = CustomClaims::parse(r#"{"team":7}"#).unwrap();
        let claiming = Client { claims: claims.clone(), ..client.clone() };
        let orders = "https://orders.example";
        let choosing = Client { audiences: orders.to_owned(), ..client.clone() };
        let new = Client { secret_hash: vec![2], ..client.clone() };
        for (change, before, after, event) in [
            (ClientChange::Secret(vec![2]), &client, &new, Event::ClientSecretChanged),
            (ClientChange::Locked(true), &client, &locked, Event::ClientLocked),
            (ClientChange::Scope("read".into()), &client, &scoped, Event::ClientScopeChanged),
            (ClientChange::Claims(claims), &client, &claiming, Event::ClientClaimsChanged),
            (
                ClientChange::Audiences(orders.into()),
                &client,
                &choosing,
                Event::ClientAudiencesChanged,
            ),
            (ClientChange::Locked(false), &locked, &client, Event::ClientUnlocked),
        ] {
            assert_eq!(change.apply(before), Some((after.clone(), event)), "{change:?}");
            assert_eq!(change.apply(after), None, "{change:?}");
        }
    }

    #[test]
    fn the_audiences_of_a_client_are_resources_each_once() {
        let many: Vec<_> = (0..17).map(|n| format!("urn:example:{n}")).collect();
        let many: Vec<_> = many.iter().map(String::as_str).collect();
        let sixteen = many[..16].join(" ");
        for (audiences, expected) in [
            (&[][..], Ok("")),
            (
                &["urn:example:a", "https://b.example", "urn:example:a"],
                Ok("urn:example:a https://b.example"),
            ),
            (&many[..16], Ok(sixteen.as_str())),
            (&many, Err("at most 16 audiences")),
            (&["urn:example:a", "api"], Err("\"api\" is not a resource")),
            (&["https://a.example#x"], Err("is not a resource")),
        ] {
            match (parse_audiences(audiences.iter().copied()), expected) {
                (Ok(parsed), Ok(expected)) => assert_eq!(parsed, expected),
                (Err(e), Err(reason)) => assert!(e.to_string().contains(reason), "{e}"),
                (parsed, _) => panic!("{audiences:?}: {parsed:?}"),
            }
        }
    }
}
