//! Authentications: the proofs that a session's user has given, and their names in access tokens
//! (RFC 9068 §2.2.1).

/// A proof that a login asks for besides the password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SecondFactor {
    /// A code of an authenticator app (RFC 6238).
    Totp,
    RecoveryCode,
    Passkey,
}

impl SecondFactor {
    /// Returns the name in the API.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Totp => "totp",
            Self::RecoveryCode => "recovery_code",
            Self::Passkey => "passkey",
        }
    }
}

/// The kinds of second factors that a user has. Recovery codes are none: they stand in for one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Factors {
    /// Confirmed.
    pub(crate) totp: bool,
    pub(crate) passkeys: bool,
}

impl Factors {
    pub(crate) fn is_empty(self) -> bool {
        self == Self::default()
    }

    /// Returns the names of the kinds that the user has.
    pub(crate) fn names(self) -> impl Iterator<Item = &'static str> {
        let totp = self.totp.then_some(SecondFactor::Totp);
        let all = totp.into_iter().chain(self.passkeys.then_some(SecondFactor::Passkey));
        all.map(SecondFactor::name)
    }
}

/// The last authentication of a session's user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Authentication {
    pub(crate) at: u64,
    /// Authentication methods, separated by spaces (RFC 8176).
    pub(crate) methods: String,
}

/// The method of a login with a password alone.
const PASSWORD: &str = "pwd";
/// The method of each authentication with two factors.
const MULTI_FACTOR: &str = "mfa";

impl Authentication {
    pub(crate) fn by_password(now: u64) -> Self {
        Self::by(PASSWORD, now)
    }

    /// With the password and a second factor.
    pub(crate) fn by_password_and(factor: SecondFactor, now: u64) -> Self {
        let methods = match factor {
            SecondFactor::Totp => "pwd otp mfa",
            SecondFactor::RecoveryCode => "pwd mfa",
            SecondFactor::Passkey => "pwd pop mfa",
        };
        Self::by(methods, now)
    }

    /// With a passkey alone, whose authenticator has verified the user.
    pub(crate) fn by_passkey(now: u64) -> Self {
        Self::by("pop user mfa", now)
    }

    fn by(methods: &str, now: u64) -> Self {
        Self { at: now, methods: methods.to_owned() }
    }

    /// Returns true if it was more than a password.
    pub(crate) fn is_strong(&self) -> bool {
        self.amr().any(|method| method == MULTI_FACTOR)
    }

    /// Returns the `amr` claim: the methods.
    pub(crate) fn amr(&self) -> impl Iterator<Item = &str> {
        self.methods.split(' ')
    }

    /// Returns the `acr` claim.
    pub(crate) fn acr(&self) -> &'static str {
        if self.is_strong() { "2" } else { "1" }
    }

    /// Returns true if it is at most that number of seconds ago. A clock that was set back does not make
    /// an authentication younger.
    pub(crate) fn is_within(&self, max_age: u64, now: u64) -> bool {
        now.abs_diff(self.at) <= max_age
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_authentication_has_its_claims() {
        for (authentication, amr, acr) in [
            (Authentication::by_password(7), vec!["pwd"], "1"),
            (
                Authentication::by_password_and(SecondFactor::Totp, 7),
                vec!["pwd", "otp", "mfa"],
                "2",
            ),
            (
                Authentication::by_password_and(SecondFactor::RecoveryCode, 7),
                vec!["pwd", "mfa"],
                "2",
            ),
            (
                Authentication::by_password_and(SecondFactor::Passkey, 7),
                vec!["pwd", "pop", "mfa"],
                "2",
            ),
            (Authentication::by_passkey(7), vec!["pop", "user", "mfa"], "2"),
        ] {
            assert_eq!(authentication.amr().collect::<Vec<_>>(), amr);
            assert_eq!((authentication.acr(), authentication.at), (acr, 7), "{amr:?}");
        }
    }

    #[test]
    fn an_authentication_ages_in_both_directions() {
        let authentication = Authentication::by_password(1000);
        for (max_age, now, is_within) in [
            (0, 1000, true),
            (0, 1001, false),
            (600, 1600, true),
            (600, 1601, false),
            (600, 400, true),
            (600, 399, false),
            (u64::MAX, 0, true),
        ] {
            assert_eq!(authentication.is_within(max_age, now), is_within, "{max_age} at {now}");
        }
    }
}
