//! Requests that may come again after a lost answer (draft-ietf-httpapi-idempotency-key-header). The
//! answer is stored in the same transaction as the user or client that the request adds.

use crate::clients::Client;
use crate::crypto::sha256;
use crate::users::User;

/// The seconds that an answer is kept.
pub(crate) const KEPT: u64 = 24 * 60 * 60;

/// A request with an `Idempotency-Key`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyedRequest {
    /// SHA-256 of the caller's id and its key.
    pub(crate) key: [u8; 32],
    /// SHA-256 of the request.
    pub(crate) request: [u8; 32],
}

impl KeyedRequest {
    /// No id of a client contains a space.
    pub(crate) fn new(client_id: &str, key: &str, request: [u8; 32]) -> Self {
        Self { key: sha256(format!("{client_id} {key}").as_bytes()), request }
    }

    /// Returns the context of its answer's seal.
    pub(crate) fn context(&self) -> String {
        self.key.iter().fold("answer ".to_owned(), |text, byte| format!("{text}{byte:02x}"))
    }
}

/// The answer to a request, if that is the one that adds the user or client.
#[derive(Clone, Debug)]
pub(crate) struct NewAnswer {
    pub(crate) to: KeyedRequest,
    /// Sealed, because it may have a secret.
    pub(crate) sealed: Vec<u8>,
    pub(crate) now: u64,
}

/// A user or a client to add.
#[derive(Clone, Debug)]
pub(crate) enum New {
    User(User),
    Client(Client),
}

/// The result of adding one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Added {
    New,
    /// The name is taken. Nothing was stored.
    NameTaken,
    /// A request with this key came before. Nothing was stored.
    Before {
        /// SHA-256 of that request.
        request: Vec<u8>,
        /// Its sealed answer.
        answer: Vec<u8>,
    },
}
