//! User names: each is brought into one spelling before it is looked up or counted.

use unicode_normalization::UnicodeNormalization as _;

use crate::Error;

/// The longest user name, in characters after normalisation.
pub(crate) const MAX_CHARACTERS: usize = 128;

/// Returns `name` trimmed, case-folded and in NFKC. Returns `None` if the result is empty, too long,
/// or contains a control character.
pub(crate) fn normalise(name: &str) -> Option<String> {
    // Bounds the work: NFKC can be several times as long as its input.
    if name.len() > 8 * MAX_CHARACTERS {
        return None;
    }
    let composed: String = name.nfkc().collect();
    // Folding can produce text that is not composed, and composing can produce a leading space.
    let folded: String = caseless::default_case_fold_str(&composed).nfkc().collect();
    let name = folded.trim();
    let fits = !name.is_empty() && name.chars().count() <= MAX_CHARACTERS;
    (fits && !name.chars().any(char::is_control)).then(|| name.to_owned())
}

/// Returns the normalised name of a user that an operator names.
///
/// # Errors
///
/// [`Error::Refused`] if no user can have this name.
pub(crate) fn check(name: &str) -> Result<String, Error> {
    normalise(name).ok_or_else(|| {
        Error::Refused(format!("{name:?} is not a user name; use 1 to {MAX_CHARACTERS} characters"))
    })
}

#[cfg(test)]
mod tests {
    use super::normalise;

    #[test]
    fn all_spellings_of_a_name_become_one() {
        let cases = [
            ("Demo", "demo"),
            ("  demo\t", "demo"),
            ("ＤＥＭＯ", "demo"),
            ("Straße", "strasse"),
            ("STRASSE", "strasse"),
            ("e\u{301}va", "éva"),
            ("ÉVA", "éva"),
        ];
        for (name, expected) in cases {
            assert_eq!(normalise(name).as_deref(), Some(expected), "{name}");
        }
    }

    #[test]
    fn an_impossible_name_is_refused() {
        for name in ["", "  ", "a\0b", &"x".repeat(129), &"x".repeat(100_000)] {
            assert_eq!(normalise(name), None);
        }
    }
}
