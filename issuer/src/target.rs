//! The target of an access token: the audiences that a request names by `resource` (RFC 8707), and the
//! part of a scope that is for them.

use std::borrow::Cow;
use std::fmt;

use countersign_claims::{Audience, scope};

use crate::config::Resource;

/// Begins the scope tokens for the issuer itself, such as `countersign:admin`.
const FOR_ISSUER: &str = "countersign:";

/// The receivers of an access token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) audience: Audience,
    /// The token is for the issuer's admin API. It is for nobody else: another receiver could use it
    /// there.
    is_issuer: bool,
}

/// The audiences that a request may name.
pub(crate) struct Choices<'a> {
    /// The audience of a request that names none.
    pub(crate) default: &'a str,
    pub(crate) others: Vec<&'a str>,
    /// The issuer's URL.
    pub(crate) issuer: &'a str,
    /// The scope of the client. A token for the issuer needs a part of it.
    pub(crate) scope: &'a str,
}

/// The fault of a `resource`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TargetFault {
    Malformed,
    NotListed,
    /// The issuer, and others besides.
    NotAlone,
    /// The issuer, for a client without a scope for it.
    NotForIssuer,
}

impl Target {
    /// Chooses the audiences `wanted`, each once and in their order; the default if there are none.
    pub(crate) fn choose(wanted: &[&str], choices: &Choices<'_>) -> Result<Self, TargetFault> {
        let is_issuer = wanted.contains(&choices.issuer);
        let is_malformed = |one: &&str| *one != choices.issuer && one.parse::<Resource>().is_err();
        if wanted.iter().any(is_malformed) {
            return Err(TargetFault::Malformed);
        }
        let mut once: Vec<&str> = Vec::new();
        for one in wanted {
            if !once.contains(one) {
                once.push(one);
            }
        }
        let is_listed = |one: &&str| *one == choices.default || choices.others.contains(one);
        if is_issuer && once.len() > 1 {
            return Err(TargetFault::NotAlone);
        }
        if is_issuer && !scope::tokens(choices.scope).any(is_for_issuer) {
            return Err(TargetFault::NotForIssuer);
        }
        if !is_issuer && !once.iter().all(is_listed) {
            return Err(TargetFault::NotListed);
        }
        if once.is_empty() {
            once.push(choices.default);
        }
        let audience = match once.as_slice() {
            [one] => Audience::One((*one).to_owned()),
            all => Audience::Many(all.iter().map(|&one| one.to_owned()).collect()),
        };
        Ok(Self { audience, is_issuer })
    }

    /// Returns true if each scope token of `wanted` is for this target.
    pub(crate) fn takes(&self, wanted: &str) -> bool {
        scope::tokens(wanted).all(|token| is_for_issuer(token) == self.is_issuer)
    }

    /// Returns the part of a scope that is for this target. A token for an API never has a scope for
    /// the issuer, so that nobody can administer the issuer with it.
    pub(crate) fn part_of<'a>(&self, scope: &'a str) -> Cow<'a, str> {
        if self.takes(scope) {
            return scope.into();
        }
        let tokens = scope::tokens(scope).filter(|token| is_for_issuer(token) == self.is_issuer);
        tokens.collect::<Vec<_>>().join(" ").into()
    }
}

fn is_for_issuer(token: &str) -> bool {
    token.starts_with(FOR_ISSUER)
}

impl fmt::Display for TargetFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => {
                "resource is malformed; expected an absolute URI without a fragment, such as \
                 https://orders.example"
            }
            Self::NotListed => {
                "this client may have no token for that resource; send no resource for the default \
                 audience, or let the operator list it"
            }
            Self::NotAlone => {
                "resource names the issuer and others; ask for the token for the issuer alone"
            }
            Self::NotForIssuer => {
                "resource is the issuer, and the client's scope has neither countersign:admin nor \
                 countersign:read"
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ISSUER: &str = "https://auth.example";

    fn choices(scope: &str) -> Choices<'_> {
        let others = vec!["https://orders.example", "urn:example:mail", ISSUER];
        Choices { default: "https://api.example", others, issuer: ISSUER, scope }
    }

    #[test]
    fn a_request_gets_the_audiences_that_it_names_if_they_are_listed() {
        let one = |audience: &str| Ok(Audience::One(audience.to_owned()));
        let many = |all: &[&str]| Ok(Audience::Many(all.iter().map(|&one| one.into()).collect()));
        let [orders, mail, api] =
            ["https://orders.example", "urn:example:mail", "https://api.example"];
        for (wanted, expected) in [
            (&[][..], one(api)),
            (&[api], one(api)),
            (&[orders], one(orders)),
            (&[orders, orders], one(orders)),
            (&[mail, orders, mail, api], many(&[mail, orders, api])),
            (&[ISSUER], one(ISSUER)),
            (&[ISSUER, ISSUER], one(ISSUER)),
            (&[ISSUER, orders], Err(TargetFault::NotAlone)),
            (&[api, ISSUER], Err(TargetFault::NotAlone)),
            (&["https://orders.example/"], Err(TargetFault::NotListed)),
            (&[orders, "https://other.example"], Err(TargetFault::NotListed)),
            (&["https://auth.example/"], Err(TargetFault::NotListed)),
            (&["https://orders.example#x"], Err(TargetFault::Malformed)),
            (&["/orders"], Err(TargetFault::Malformed)),
            (&["orders"], Err(TargetFault::Malformed)),
            (&[orders, "api"], Err(TargetFault::Malformed)),
        ] {
            let chosen = Target::choose(wanted, &choices("read countersign:read"));
            assert_eq!(chosen.map(|target| target.audience), expected, "{wanted:?}");
        }
        for scope in ["", "read", "countersign", "xcountersign:admin", "Countersign:admin"] {
            let chosen = Target::choose(&[ISSUER], &choices(scope));
            assert_eq!(chosen, Err(TargetFault::NotForIssuer), "{scope}");
        }
        // The configured names need not be resources.
        let issuer = "https://bücher.example";
        let named = Choices { default: "api", issuer, ..choices("countersign:admin") };
        for (wanted, expected) in [
            (&[][..], one("api")),
            (&[issuer], one(issuer)),
            (&["api"], Err(TargetFault::Malformed)),
        ] {
            let chosen = Target::choose(wanted, &named).map(|target| target.audience);
            assert_eq!(chosen, expected, "{wanted:?}");
        }
    }

    #[test]
    fn a_scope_is_parted_between_the_issuer_and_all_others() {
        let target =
            |wanted: &[&str]| Target::choose(wanted, &choices("countersign:read")).unwrap();
        let (issuer, api) = (target(&[ISSUER]), target(&[]));
        for (scope, of_issuer, of_api) in [
            ("", "", ""),
            ("read write", "", "read write"),
            ("countersign:admin", "countersign:admin", ""),
            (
                "read countersign:read write countersign:admin",
                "countersign:read countersign:admin",
                "read write",
            ),
        ] {
            assert_eq!(issuer.part_of(scope), of_issuer, "{scope}");
            assert_eq!(api.part_of(scope), of_api, "{scope}");
            assert_eq!(issuer.takes(scope), of_api.is_empty(), "{scope}");
            assert_eq!(api.takes(scope), of_issuer.is_empty(), "{scope}");
        }
        // The default stays without a scope for the issuer, also if it is the issuer's URL.
        let same = Choices { default: ISSUER, ..choices("countersign:admin") };
        assert_eq!(Target::choose(&[], &same).unwrap().part_of("countersign:admin"), "");
    }
}
