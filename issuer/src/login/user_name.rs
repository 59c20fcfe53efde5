//! User names: one spelling for each, settled before anything looks them up or counts them.

use unicode_normalization::UnicodeNormalization as _;

/// The longest user name, in characters after normalisation.
pub(crate) const MAX_CHARACTERS: usize = 128;

/// `name` trimmed, case-folded and in NFKC; `None` if nothing is left, it is too long, or it holds
/// a control character.
pub(crate) fn normalise(name: &str) -> Option<String> {
    // NFKC alone can be several times as long as its input.
    if name.len() > 8 * MAX_CHARACTERS {
        return None;
    }
    let composed: String = name.nfkc().collect();
    // Folding can leave text that is not composed, and composing text that begins with a space.
    let folded: String = caseless::default_case_fold_str(&composed).nfkc().collect();
    let name = folded.trim();
    let fits = !name.is_empty() && name.chars().count() <= MAX_CHARACTERS;
    (fits && !name.chars().any(char::is_control)).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::normalise;

    #[test]
    fn spellings_of_one_name_are_one_name() {
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
    fn a_name_that_cannot_be_one_is_none() {
        for name in ["", "  ", "a\0b", &"x".repeat(129), &"x".repeat(100_000)] {
            assert_eq!(normalise(name), None);
        }
    }
}
