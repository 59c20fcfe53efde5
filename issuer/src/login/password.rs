//! The rules for new passwords. `service/hasher/` hashes and checks passwords.

use zxcvbn::{Score, zxcvbn};

use crate::Error;

/// The longest password that is hashed, in bytes of UTF-8.
pub(crate) const MAX_BYTES: usize = 1024;

/// The shortest password that `user add` and `user passwd` accept, in characters
/// (NIST SP 800-63B §3.1.1.2).
pub(crate) const MIN_CHARACTERS: usize = 8;

/// Refuses a new password that is too short, too long, contains a control character, or is among
/// the first that an attacker tries. `issuer` is the URL of the issuer, if one is configured.
///
/// # Errors
///
/// [`Error::Refused`] with the reason.
pub(crate) fn check_new(password: &str, user: &str, issuer: Option<&str>) -> Result<(), Error> {
    let refuse = |line: String| Err(Error::Refused(line));
    if password.chars().count() < MIN_CHARACTERS {
        return refuse(format!(
            "the password is too short; use {MIN_CHARACTERS} characters or more"
        ));
    }
    if password.len() > MAX_BYTES {
        return refuse(format!("the password is longer than {MAX_BYTES} bytes; use a shorter one"));
    }
    if password.chars().any(char::is_control) {
        return refuse("the password contains a control character; leave it out".to_owned());
    }
    if is_easy_to_guess(password, user, issuer) {
        return refuse(
            "the password is among the first that an attacker tries, such as common passwords, \
             names and repetitions; use another one, such as four words that do not belong together"
                .to_owned(),
        );
    }
    Ok(())
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
