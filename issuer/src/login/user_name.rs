//! User names: each is brought into one spelling before it is looked up or counted.

use unicode_normalization::UnicodeNormalization as _;

use crate::Error;

/// The longest user name, in characters after normalisation.
pub(crate) const MAX_CHARACTERS: usize = 128;

/// Returns `name` trimmed, case-folded, in NFKC and without invisible characters, as Unicode's
/// `NFKC_Casefold` does. Returns `None` if the result is empty, too long, or contains a control
/// character or a line separator.
pub(crate) fn normalise(name: &str) -> Option<String> {
    // Bounds the work: NFKC can be several times as long as its input.
    if name.len() > 8 * MAX_CHARACTERS {
        return None;
    }
    let composed: String = name.nfkc().filter(|&c| !is_ignorable(c)).collect();
    // Folding can produce text that is not composed, and composing can produce a leading space.
    let folded: String = caseless::default_case_fold_str(&composed).nfkc().collect();
    let name = folded.trim();
    let fits = !name.is_empty() && name.chars().count() <= MAX_CHARACTERS;
    let is_unfit = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    (fits && !name.chars().any(is_unfit)).then(|| name.to_owned())
}

/// Returns true for the characters of Unicode's `Default_Ignorable_Code_Point`: most are invisible, and
/// some change the direction of the text after them.
pub(crate) const fn is_ignorable(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fff8}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
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
            ("de\u{200b}mo", "demo"),
            ("demo\u{202e}", "demo"),
            ("\u{feff}de\u{ad}mo\u{e0041}", "demo"),
            ("e\u{34f}\u{301}va", "éva"),
        ];
        for (name, expected) in cases {
            assert_eq!(normalise(name).as_deref(), Some(expected), "{name}");
        }
    }

    #[test]
    fn an_impossible_name_is_refused() {
        for name in
            ["", "  ", "\u{200b}", "a\0b", "a\u{2028}b", &"x".repeat(129), &"x".repeat(100_000)]
        {
            assert_eq!(normalise(name), None);
        }
    }
}
