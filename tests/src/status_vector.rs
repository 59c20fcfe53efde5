//! The format of `tests/status_lists.json`.

use std::{path::PathBuf, time::Duration};

use countersign_verifier::{Error, KeySet, Policy, StatusReference, Verified};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::vector;

/// A token with a status list and the expected verdict.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct StatusVector {
    /// A sentence that states the fact; unique in the file.
    pub name: String,
    /// The token.
    pub token: String,
    /// The options of the npm package, without `status`.
    pub options: Map<String, Value>,
    /// The options of `statusList`.
    pub status: Map<String, Value>,
    /// The text of the list at the only URL that serves one. Null if it serves none.
    pub list: Option<String>,
    /// Seconds since 1970-01-01T00:00:00Z.
    pub now: u64,
    /// `ok`, or the error code.
    pub expect: String,
}

/// The only URL that serves a list.
pub const URI: &str = "https://auth.example/status/1";

/// The origin that lists may be fetched from.
const ORIGIN: &str = "https://auth.example/";

impl StatusVector {
    /// Runs the Rust verifier.
    ///
    /// # Errors
    /// The error of the token.
    ///
    /// # Panics
    /// If the options are none.
    pub fn verify(&self) -> Result<(), Error> {
        let mut options = self.options.clone();
        let keys = options.remove("jwks").expect("a vector has keys").to_string();
        let keys = KeySet::from_json(&keys)?;
        let policy = Policy::from_json(&Value::Object(options).to_string())?;
        let now = Duration::from_secs(self.now);
        let token = policy.verify(&keys, &self.token, now)?;
        let Some(reference) = token.status_reference()? else {
            let is_required = self.status.get("required") == Some(&Value::Bool(true));
            return if is_required { Err(missing()) } else { Ok(()) };
        };
        if !reference.uri.starts_with(ORIGIN) {
            return Err(invalid());
        }
        self.check(&policy, &keys, &token, &reference, now)
    }

    fn check(
        &self,
        policy: &Policy,
        keys: &KeySet,
        token: &Verified,
        reference: &StatusReference,
        now: Duration,
    ) -> Result<(), Error> {
        let list = self.list.as_ref().filter(|_| reference.uri == URI);
        let list = list.ok_or(Error::StatusUnavailable)?;
        let list = policy.verify_status_list(keys, list, URI, now);
        let accepted = self.status.get("accepted").cloned().unwrap_or_else(|| Value::Array(vec![]));
        let accepted: Vec<u8> = serde_json::from_value(accepted).expect("statuses are bytes");
        list.map_err(|_| Error::StatusUnavailable)?.check(token, &accepted, now)
    }
}

fn missing() -> Error {
    Error::ClaimMissing { claim: "status".into() }
}

fn invalid() -> Error {
    let found = countersign_verifier::ClaimFault::Object;
    Error::ClaimInvalid { claim: "status".into(), found, expected: "a list at the issuer's origin" }
}

/// Returns the path of the file.
#[must_use]
pub fn path() -> PathBuf {
    vector::folder().join("../status_lists.json")
}

/// Reads the file.
///
/// # Panics
/// If it cannot be read, or is not an array of vectors.
#[must_use]
pub fn read_all() -> Vec<StatusVector> {
    let text = std::fs::read_to_string(path()).expect("tests/status_lists.json is text");
    serde_json::from_str(&text).expect("tests/status_lists.json is an array of vectors")
}

/// Returns the text of the file.
///
/// # Panics
/// Never for vectors made by this crate.
#[must_use]
pub fn to_text(vectors: &[StatusVector]) -> String {
    vector::sorted_text(&serde_json::to_value(vectors).expect("a vector is JSON"))
}
