//! The `status` claim.

use alloc::string::String;

use serde::{Deserialize, Serialize};

/// The claim `status` (draft-ietf-oauth-status-list §6): a reference to the token's revocation
/// status. Mechanisms other than the status list are ignored.
///
/// ```
/// use countersign_claims::{Status, StatusReference};
///
/// let uri = "https://auth.example/status/1";
/// let status = Status { status_list: Some(StatusReference { idx: 7, uri: uri.into() }) };
/// let json = r#"{"status_list":{"idx":7,"uri":"https://auth.example/status/1"}}"#;
/// assert_eq!(serde_json::to_string(&status).unwrap(), json);
/// assert_eq!(serde_json::from_str::<Status>(json).unwrap(), status);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    /// The token's status index in a status list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_list: Option<StatusReference>,
}

/// A status index in a status list (§6.2 of the draft).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusReference {
    /// The token's status index. The first is 0.
    pub idx: u64,
    /// The URL of the list, which is also the list's `sub` claim.
    pub uri: String,
}
