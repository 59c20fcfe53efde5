//! The form in which passwords are hashed, and the rules for new ones. `service/hasher/` hashes and
//! checks passwords.

use unicode_normalization::UnicodeNormalization as _;
use zeroize::Zeroizing;
use zxcvbn::{Score, zxcvbn};

use crate::Error;

/// The longest password that is hashed, in bytes of UTF-8.
pub(crate) const MAX_BYTES: usize = 1024;

/// The shortest password that `user add` and `user passwd` accept, in characters
/// (NIST SP 800-63B §3.1.1.2).
pub(crate) const MIN_CHARACTERS: usize = 8;

/// A text in one normalisation form has at most this many times the bytes that it has in another one
/// (UAX #15, for UTF-8).
const EXPANSION: usize = 3;

/// The longest line that may become a password.
pub(crate) const MAX_TYPED_BYTES: usize = EXPANSION * MAX_BYTES;

/// Returns a password as it is hashed, by the mappings of RFC 8265 §4.2.2: each space of another
/// script is a space, and the text is in NFC. Systems and keyboards type the same password in
/// different forms.
///
/// Of the code points outside the RFC's `FreeformClass`, only control characters are refused. The
/// others are in many emoji, or may be assigned by a later version of Unicode.
///
/// # Errors
///
/// [`Error::Refused`] if the password is too long or contains a control character.
pub(crate) fn prepare(password: &str) -> Result<Zeroizing<String>, Error> {
    let too_long = || {
        let line = format!("the password is longer than {MAX_BYTES} bytes; use a shorter one");
        Err(Error::Refused(line))
    };
    if password.len() > MAX_TYPED_BYTES {
        return too_long();
    }
    // A string that grows leaves copies of the password behind.
    let mut prepared = Zeroizing::new(String::with_capacity(EXPANSION * password.len()));
    prepared.extend(password.chars().map(|c| if is_other_space(c) { ' ' } else { c }).nfc());
    if prepared.len() > MAX_BYTES {
        return too_long();
    }
    if prepared.chars().any(char::is_control) {
        let line = "the password contains a control character; leave it out";
        return Err(Error::Refused(line.to_owned()));
    }
    Ok(prepared)
}

/// Returns true for the characters of Unicode's category Zs, except the space.
const fn is_other_space(c: char) -> bool {
    matches!(
        c,
        '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}'
    )
}

/// Returns a new password as it is hashed. Refuses one that is impossible, too short, or among the
/// first that an attacker tries. `issuer` is the URL of the issuer, if one is configured.
///
/// # Errors
///
/// [`Error::Refused`] with the reason.
pub(crate) fn check_new(
    password: &str,
    user: &str,
    issuer: Option<&str>,
) -> Result<Zeroizing<String>, Error> {
    let refuse = |line: String| Err(Error::Refused(line));
    let password = prepare(password)?;
    if password.chars().count() < MIN_CHARACTERS {
        return refuse(format!(
            "the password is too short; use {MIN_CHARACTERS} characters or more"
        ));
    }
    if is_easy_to_guess(&password, user, issuer) {
        return refuse(
            "the password is among the first that an attacker tries, such as common passwords, \
             names and repetitions; use another one, such as four words that do not belong together"
                .to_owned(),
        );
    }
    Ok(password)
}

/// Returns true for common passwords, words of this service and the user's name, also with capitals,
/// digits and signs as people add them (NIST SP 800-63B §3.1.1.2). No kind of character is required.
fn is_easy_to_guess(password: &str, user: &str, issuer: Option<&str>) -> bool {
    let issuer = issuer.unwrap_or_default();
    let host = issuer.split_once("://").map_or(issuer, |(_, rest)| rest);
    let host = host.split(['/', ':']).next().unwrap_or_default();
    let mut words = vec![user, host, "countersign"];
    words.extend([user, host].into_iter().flat_map(|name| name.split(['.', '-', '_', '@', ' '])));
    words.retain(|word| word.chars().count() > 2);
    // A score below two means fewer than a million guesses.
    zxcvbn(password, &words).score() < Score::Two
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_spelling_of_a_password_is_prepared_alike() {
        let long = "\u{390}".repeat(MAX_BYTES / 2);
        let longest = "\u{3b9}\u{308}\u{301}".repeat(MAX_BYTES / 2);
        let cases = [
            ("correct horse", Some("correct horse")),
            ("  two  spaces ", Some("  two  spaces ")),
            ("Capitals Stay", Some("Capitals Stay")),
            ("caf\u{e9}", Some("caf\u{e9}")),
            ("cafe\u{301}", Some("caf\u{e9}")),
            ("\u{1112}\u{1161}\u{11ab}", Some("\u{d55c}")),
            ("q\u{307}\u{323}", Some("q\u{323}\u{307}")),
            ("A\u{30a}, \u{212b}", Some("\u{c5}, \u{c5}")),
            // NFKC would map these.
            ("\u{ff41}\u{fb01}\u{b2}", Some("\u{ff41}\u{fb01}\u{b2}")),
            ("a\u{a0}b\u{1680}c\u{2000}d\u{200a}e", Some("a b c d e")),
            ("a\u{202f}b\u{205f}c\u{3000}d", Some("a b c d")),
            // The examples of RFC 8265 §4.3.
            ("Correct Horse Battery Staple", Some("Correct Horse Battery Staple")),
            ("\u{3c0}\u{df}\u{e5}", Some("\u{3c0}\u{df}\u{e5}")),
            ("Jack of \u{2666}s", Some("Jack of \u{2666}s")),
            ("foo\u{1680}bar", Some("foo bar")),
            ("my cat is a \u{9}by", None),
            // Emoji.
            (
                "\u{2764}\u{fe0f}\u{1f469}\u{200d}\u{1f680}",
                Some("\u{2764}\u{fe0f}\u{1f469}\u{200d}\u{1f680}"),
            ),
            ("a\u{0}b", None),
            ("a\u{85}b", None),
            (&longest, Some(&long)),
            (&format!("{longest}x"), None),
            (&format!("{long}x"), None),
            (&"\u{fb2c}".repeat(MAX_BYTES), None),
            (&"x".repeat(100_000), None),
            ("", Some("")),
        ];
        for (password, expected) in cases {
            let prepared = prepare(password);
            assert_eq!(prepared.ok().as_deref().map(String::as_str), expected, "{password}");
        }
    }

    #[test]
    fn a_password_that_is_easy_to_guess_is_refused() {
        let issuer = Some("https://login.example.org:8443/auth");
        let cases = [
            ("password", false),
            ("Password123!", false),
            ("P@ssw0rd!", false),
            ("12345678", false),
            ("qwertyuiop", false),
            ("iloveyou", false),
            ("drowssap1", false),
            ("trustno1", false),
            ("passwordpassword", false),
            ("aaaaaaaaaaaaaaaa", false),
            ("abcdefgh", false),
            ("Countersign1", false),
            ("countersign2026", false),
            ("jane.doe", false),
            ("Jane.Doe1", false),
            ("login.example.org", false),
            // Neither capitals nor digits are required.
            ("ovtkxqbz", true),
            ("plum carousel under seven lanterns", true),
            ("a password of your own", true),
            ("correct horse battery staple", true),
            ("not a secret: for tests alone", true),
            ("пять синих якорей", true),
        ];
        for (password, good) in cases {
            let checked = check_new(password, "jane.doe", issuer);
            assert_eq!(checked.is_ok(), good, "{password}: {checked:?}");
        }
        assert!(check_new("jane.doe jane.doe", "eve", issuer).is_ok(), "the name of another user");
        let long = "seven lanterns ".repeat(60);
        assert!(check_new(&format!("{long}64 characters and more"), "eve", issuer).is_ok());
    }
}
