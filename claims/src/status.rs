use alloc::string::String;

use serde::{Deserialize, Serialize};

/// Where to look whether the token was taken back: the claim `status` of the Token Status List
/// draft (draft-ietf-oauth-status-list §6). Other mechanisms than the status list are ignored when
/// reading.
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
    /// The token's place in a status list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_list: Option<StatusReference>,
}

/// A place in a status list (§6.2 of the draft).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusReference {
    /// Which of the list's statuses is the token's; the first is 0.
    pub idx: u64,
    /// Where the list is; and its `sub` claim.
    pub uri: String,
}
