//! Base64url.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

/// Encodes octets as base64url without padding (RFC 7515 §2).
#[must_use]
pub fn base64url(octets: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(octets)
}
