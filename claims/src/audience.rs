//! The `aud` claim.

use alloc::{string::String, vec::Vec};
use core::slice;

use serde::{Deserialize, Serialize};

/// The `aud` claim (RFC 7519 §4.1.3): one string, or an array of strings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Audience {
    /// A single audience, written as a bare string.
    One(String),
    /// Any number of audiences, written as an array. It may be empty, but no verifier accepts that.
    Many(Vec<String>),
}

impl Audience {
    /// Returns the audiences, in the order of the token.
    pub fn iter(&self) -> slice::Iter<'_, String> {
        match self {
            Self::One(one) => slice::from_ref(one).iter(),
            Self::Many(many) => many.iter(),
        }
    }

    /// Returns true if `audience` is one of them, compared byte for byte.
    #[must_use]
    pub fn contains(&self, audience: &str) -> bool {
        self.iter().any(|one| one == audience)
    }
}

impl<'a> IntoIterator for &'a Audience {
    type Item = &'a String;
    type IntoIter = slice::Iter<'a, String>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::Audience;
    use alloc::vec;

    #[test]
    fn a_string_stays_a_string_and_an_array_an_array() {
        for (json, audience) in [
            (r#""api""#, Audience::One("api".into())),
            (r#"["api","web"]"#, Audience::Many(vec!["api".into(), "web".into()])),
            ("[]", Audience::Many(vec![])),
        ] {
            assert_eq!(serde_json::from_str::<Audience>(json).unwrap(), audience);
            assert_eq!(serde_json::to_string(&audience).unwrap(), json);
        }
    }

    #[test]
    fn only_a_whole_audience_matches() {
        let audience = Audience::Many(vec!["api".into(), "web".into()]);
        assert!(audience.contains("web"));
        assert!(!audience.contains("we"));
        assert!(!Audience::Many(vec![]).contains(""));
    }
}
