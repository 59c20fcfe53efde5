//! Users and clients that are added once, however often the request comes.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Admin;
use crate::idempotency::{Added, KeyedRequest, New, NewAnswer};
use crate::service::ServiceError;

/// The requests with an `Idempotency-Key` that this issuer answers at the moment.
#[derive(Default)]
pub(in crate::service) struct Additions(Mutex<HashSet<[u8; 32]>>);

impl Additions {
    fn lock(&self) -> MutexGuard<'_, HashSet<[u8; 32]>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that is being answered.
pub(super) struct Addition<'a> {
    /// `None` for a request without a key.
    request: Option<KeyedRequest>,
    all: &'a Additions,
}

impl Drop for Addition<'_> {
    fn drop(&mut self) {
        if let Some(request) = &self.request {
            self.all.lock().remove(&request.key);
        }
    }
}

impl Admin<'_> {
    /// Begins a request, with its key and SHA-256 if it has a key. Refuses it while another one with the
    /// key is being answered.
    pub(super) fn begin(
        &self,
        keyed: Option<(&str, [u8; 32])>,
    ) -> Result<Addition<'_>, ServiceError> {
        let all = &self.issuer.additions;
        let request = keyed.map(|(key, request)| KeyedRequest::new(&self.client_id, key, request));
        if let Some(request) = &request
            && !all.lock().insert(request.key)
        {
            return Err(ServiceError::RequestInFlight);
        }
        Ok(Addition { request, all })
    }

    /// Adds a user or a client, and returns the answer: that of an earlier request with the same key, or
    /// else the given one.
    pub(super) async fn add(
        &self,
        addition: &Addition<'_>,
        new: New,
        answer: Vec<u8>,
    ) -> Result<Vec<u8>, ServiceError> {
        let store = &self.issuer.store;
        let Some(request) = addition.request else {
            let is_added = match new {
                New::User(user) => store.add_user(user, self.by()).await?,
                New::Client(client) => store.add_client(client, self.by()).await?,
            };
            return if is_added { Ok(answer) } else { Err(ServiceError::NameTaken) };
        };
        let sealer = &self.issuer.sealer;
        let sealed = sealer.seal(&answer, &request.context())?;
        let stored = NewAnswer { to: request, sealed, now: self.now() };
        match store.add_once(new, stored, self.by()).await? {
            Added::New => Ok(answer),
            Added::NameTaken => Err(ServiceError::NameTaken),
            Added::Before { request: before, .. } if before != request.request => {
                Err(ServiceError::KeyOfAnotherRequest)
            }
            Added::Before { answer, .. } => {
                let opened = sealer.open(&answer, &request.context());
                opened.map(|answer| answer.to_vec()).ok_or(ServiceError::AnswerUnreadable)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::service::Issuer;
    use crate::service::accounts::new_client;

    fn admin<'a>(issuer: &'a Issuer, client_id: &str) -> Admin<'a> {
        Admin { issuer, client_id: client_id.to_owned(), from: [127, 0, 0, 1].into() }
    }

    #[tokio::test]
    async fn a_second_request_with_the_key_waits_for_the_first() {
        let folder = TempDir::new().unwrap();
        let issuer = Issuer::for_tests(&folder).await;
        let (one, other) = (admin(&issuer, "client_x"), admin(&issuer, "client_y"));
        let first = one.begin(Some(("key", [1; 32]))).unwrap();
        for request in [[1; 32], [2; 32]] {
            let refused = one.begin(Some(("key", request))).err();
            assert!(matches!(refused, Some(ServiceError::RequestInFlight)), "{refused:?}");
        }
        assert!(one.begin(Some(("another", [1; 32]))).is_ok());
        assert!(other.begin(Some(("key", [1; 32]))).is_ok());
        assert!(one.begin(None).is_ok() && one.begin(None).is_ok());
        drop(first);
        assert!(one.begin(Some(("key", [1; 32]))).is_ok());
    }

    #[tokio::test]
    async fn the_database_has_no_answer_in_the_clear() {
        let folder = TempDir::new().unwrap();
        let issuer = Issuer::for_tests(&folder).await;
        let admin = admin(&issuer, "client_x");
        let (client, secret) = new_client("worker".into(), String::new(), 7).unwrap();
        let addition = admin.begin(Some(("a key of the client", [1; 32]))).unwrap();
        let new = New::Client(client);
        let answer = secret.as_bytes().to_vec();
        assert_eq!(admin.add(&addition, new.clone(), answer.clone()).await.unwrap(), answer);
        let again = admin.add(&addition, new, b"another".to_vec()).await.unwrap();
        assert_eq!(again, answer);
        drop(addition);
        drop(issuer);
        for file in ["x.db", "x.db-wal"] {
            let Ok(bytes) = std::fs::read(folder.path().join(file)) else { continue };
            for clear in [secret.as_bytes(), b"a key of the client"] {
                assert!(!bytes.windows(clear.len()).any(|part| part == clear), "{file}");
            }
        }
    }
}
