//! Passkeys (WebAuthn Level 3). Pure rules: the caller passes the time and stores the result.
//!
//! [`relying_party`] verifies the answers of authenticators, [`challenge`] makes the challenges,
//! [`credential`] has the stored part of a passkey.

pub(crate) mod challenge;
pub(crate) mod credential;
pub(crate) mod relying_party;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use self::credential::Credential;
use crate::Error;
use crate::audit::Network;
use crate::one_time::ChallengeUse;
use crate::session::SessionId;

/// The most passkeys that a user may have.
pub(crate) const MOST_OF_A_USER: u32 = 20;

/// The most characters of a passkey's name.
const LONGEST_NAME: usize = 64;

/// The most bytes of a credential id (WebAuthn §4, "Credential ID").
const LONGEST_ID: usize = 1023;

/// A passkey as the store keeps it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Passkey {
    /// The credential id, which the authenticator chose.
    pub(crate) id: Vec<u8>,
    pub(crate) user_id: String,
    /// The user gave it this name.
    pub(crate) name: String,
    pub(crate) credential: Credential,
    pub(crate) created_at: u64,
    /// The time of the last login with it.
    pub(crate) used_at: Option<u64>,
}

impl Passkey {
    /// Returns the credential id as JSON and paths have it.
    pub(crate) fn encoded_id(&self) -> String {
        URL_SAFE_NO_PAD.encode(&self.id)
    }
}

/// Reads a credential id from a path.
pub(crate) fn decode_id(text: &str) -> Option<Vec<u8>> {
    let id = URL_SAFE_NO_PAD.decode(text).ok()?;
    is_possible_id(&id).then_some(id)
}

fn is_possible_id(id: &[u8]) -> bool {
    (1..=LONGEST_ID).contains(&id.len())
}

/// Returns the name of a passkey, without white space around it.
///
/// # Errors
///
/// [`Error::Refused`] if no passkey can have this name.
pub(crate) fn parse_name(name: &str) -> Result<String, Error> {
    let name = name.trim();
    let is_possible = (1..=LONGEST_NAME).contains(&name.chars().count());
    if is_possible && !name.chars().any(|c| c.is_control() || steers_text(c)) {
        return Ok(name.to_owned());
    }
    Err(Error::Refused(format!(
        "name must have 1 to {LONGEST_NAME} characters, no control characters and none that change the \
         direction of text"
    )))
}

/// Returns true for the characters that begin a line, or change the direction of the text after them
/// (Unicode's `Bidi_Control`). The joiners of emoji and of Persian words are no such characters.
fn steers_text(c: char) -> bool {
    matches!(
        c,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    )
}

/// A new passkey whose registration was verified.
#[derive(Clone, Debug)]
pub(crate) struct NewPasskey {
    pub(crate) passkey: Passkey,
    /// The session whose user asks for it. It must not have ended.
    pub(crate) session: SessionId,
    pub(crate) challenge: ChallengeUse,
    /// The hashes of new recovery codes. They come into force unless the user has some that nobody has
    /// used.
    pub(crate) codes: Vec<[u8; 32]>,
    /// The network of the request, for the audit log.
    pub(crate) network: Network,
}

/// The effect of [`NewPasskey`]. In each case its challenge is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Registration {
    Added,
    /// It is added, and the new recovery codes are in force.
    AddedWithCodes,
    /// The challenge was used by another request, the session has ended, or the user is gone or locked.
    Refused,
    /// Some user has a passkey with this id.
    IdTaken,
    /// The user has as many passkeys as they may.
    TooMany,
}

impl Registration {
    pub(crate) fn added(is_with_codes: bool) -> Self {
        if is_with_codes { Self::AddedWithCodes } else { Self::Added }
    }
}

/// A use of a passkey of the user whose assertion was verified.
#[derive(Clone, Debug)]
pub(crate) struct PasskeyUse {
    /// The credential id.
    pub(crate) id: Vec<u8>,
    /// The signature counter of the assertion.
    pub(crate) counter: u32,
    pub(crate) challenge: ChallengeUse,
}

/// The verdict of a store on a [`PasskeyUse`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Assertion {
    Accepted,
    /// The challenge was used by another request, or the passkey is gone.
    Refused,
    /// The counter did not grow: the authenticator may have been copied.
    CounterBack,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_up_to_64_characters_and_none_that_a_terminal_obeys() {
        let longest = "é".repeat(64);
        for (name, parsed) in [("My phone", "My phone"), (" a ", "a"), (&longest, &longest)] {
            assert_eq!(parse_name(name).ok().as_deref(), Some(parsed));
        }
        let family = "👩\u{200d}👧 phone";
        assert_eq!(parse_name(family).unwrap(), family);
        for name in [
            "",
            "  ",
            "a\nb",
            "a\0",
            "\u{1b}[31m",
            "a\u{202e}b",
            "a\u{2066}b",
            "a\u{61c}b",
            "a\u{2028}b",
            &"é".repeat(65),
        ] {
            assert!(parse_name(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn an_id_in_a_path_is_base64url_of_up_to_1023_bytes() {
        assert_eq!(decode_id("AP8"), Some(vec![0, 255]));
        assert!(decode_id(&URL_SAFE_NO_PAD.encode([7; 1023])).is_some());
        for text in ["", "A", "AP8=", "AP/", "AP9", "é", &URL_SAFE_NO_PAD.encode([7; 1024])] {
            assert_eq!(decode_id(text), None, "{text}");
        }
    }
}
