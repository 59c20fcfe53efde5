//! The setting `second_factor`.

use countersign_claims::scope;

use super::value::Value;

/// The users whose logins need a second factor. The logins of a user who has one always need it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SecondFactorPolicy {
    /// Nobody else.
    #[default]
    Optional,
    /// Everybody. Who has none sets one up at the next login.
    Required,
    /// Those whose scope has one of these scope tokens.
    Scopes(Vec<String>),
}

/// Begins a list of scope tokens.
const SCOPES: &str = "scope ";

impl SecondFactorPolicy {
    /// Returns true if users with this scope need a second factor.
    #[must_use]
    pub fn asks(&self, scope: &str) -> bool {
        match self {
            Self::Optional => false,
            Self::Required => true,
            Self::Scopes(words) => words.iter().any(|word| scope::contains(scope, word)),
        }
    }
}

impl Value for SecondFactorPolicy {
    fn parse(text: &str) -> Result<Self, String> {
        let words = text.strip_prefix(SCOPES).filter(|words| scope::is_well_formed(words));
        match (text, words) {
            ("optional", _) => Ok(Self::Optional),
            ("required", _) => Ok(Self::Required),
            (_, Some(words)) => Ok(Self::Scopes(scope::tokens(words).map(str::to_owned).collect())),
            _ => Err("expected optional, required, or scope with scope tokens, such as \
                      \"scope admin billing\""
                .to_owned()),
        }
    }

    fn show(&self) -> Option<String> {
        Some(match self {
            Self::Optional => "optional".to_owned(),
            Self::Required => "required".to_owned(),
            Self::Scopes(words) => format!("{SCOPES}{}", words.join(" ")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_asks_by_scope() {
        for (text, scope, asks) in [
            ("optional", "admin", false),
            ("required", "", true),
            ("scope admin", "read admin", true),
            ("scope admin billing", "billing", true),
            ("scope admin billing", "read administrator", false),
            ("scope admin", "", false),
        ] {
            let policy = SecondFactorPolicy::parse(text).unwrap();
            assert_eq!(policy.asks(scope), asks, "{text}: {scope}");
            assert_eq!(policy.show().as_deref(), Some(text));
        }
        for text in ["", "Required", "scope", "scope ", "scope  admin", "scopes admin", "admin"] {
            let refused = SecondFactorPolicy::parse(text).unwrap_err();
            assert!(refused.starts_with("expected optional, required"), "{text}");
        }
    }
}
