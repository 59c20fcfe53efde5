//! Passwords: what their hashes cost, and which of them may be set. Logins hash in [`crate::service::hasher`].

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Block, Params, Version};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use zeroize::Zeroizing;
use zxcvbn::{Score, zxcvbn};

use crate::{Config, Error, crypto};

/// The longest password that is hashed, in bytes of UTF-8.
pub(crate) const MAX_BYTES: usize = 1024;
/// The shortest password that `user add` and `user passwd` take, in characters
/// (NIST SP 800-63B §3.1.1.2).
pub(crate) const MIN_CHARACTERS: usize = 8;

/// The parameters of argon2id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cost {
    /// KiB.
    memory: u32,
    passes: u32,
    lanes: u32,
}

impl Cost {
    pub(crate) const fn new(memory: u32, passes: u32, lanes: u32) -> Self {
        Self { memory, passes, lanes }
    }

    /// That of new hashes.
    pub(crate) const fn configured(config: &Config) -> Self {
        Self::new(config.argon2_memory, config.argon2_passes, config.argon2_lanes)
    }

    /// The memory that it takes, in KiB.
    pub(crate) const fn memory(self) -> u32 {
        self.memory
    }

    /// That of a PHC string, if a password can be checked against it.
    pub(crate) fn of(stored: &str) -> Option<Self> {
        let stored = PasswordHash::new(stored).ok()?;
        let whole = stored.salt.is_some() && stored.hash.is_some();
        let known = stored.algorithm.as_str() == Algorithm::Argon2id.as_str()
            && Version::try_from(stored.version?) == Ok(Version::V0x13);
        let params = Params::try_from(&stored).ok()?;
        let cost = Self::new(params.m_cost(), params.t_cost(), params.p_cost());
        (whole && known).then_some(cost)
    }

    /// The PHC string of a password. What `memory` held does not matter; afterwards it holds what
    /// the hash left there.
    pub(crate) fn hash(self, password: &str, memory: &mut Vec<Block>) -> Result<String, Error> {
        let salt = crypto::random::<16>()?;
        let mut hash = Zeroizing::new([0; Params::DEFAULT_OUTPUT_LEN]);
        self.compute(password, &salt, hash.as_mut(), memory)
            .ok_or_else(|| Error::System("the password can't be hashed".to_owned()))?;
        let Self { memory, passes, lanes } = self;
        let [salt, hash] = [salt.as_slice(), hash.as_slice()].map(|b| STANDARD_NO_PAD.encode(b));
        Ok(format!("$argon2id$v=19$m={memory},t={passes},p={lanes}${salt}${hash}"))
    }

    /// Whether the password is the one behind the PHC string, which is one of this cost. For
    /// `memory` see [`Cost::hash`].
    pub(crate) fn matches(self, password: &str, stored: &str, memory: &mut Vec<Block>) -> bool {
        let mut check = || {
            let stored = PasswordHash::new(stored).ok()?;
            let (salt, expected) = stored.salt.as_ref().zip(stored.hash.as_ref())?;
            let mut hash = Zeroizing::new(vec![0; expected.len()]);
            self.compute(password, salt.as_ref(), &mut hash, memory)?;
            verify_slices_are_equal(&hash, expected.as_bytes()).ok()
        };
        check().is_some()
    }

    fn compute(
        self,
        password: &str,
        salt: &[u8],
        out: &mut [u8],
        memory: &mut Vec<Block>,
    ) -> Option<()> {
        let params = Params::new(self.memory, self.passes, self.lanes, Some(out.len())).ok()?;
        if memory.len() < params.block_count() {
            memory.resize(params.block_count(), Block::default());
        }
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into_with_memory(password.as_bytes(), salt, out, memory.as_mut_slice())
            .ok()
    }
}

/// Whether a new password of the user may be set.
///
/// # Errors
///
/// [`Error::Refused`] when it is too short, too long, holds a control character, or is one of the
/// first that an attacker tries.
pub(crate) fn check_new(password: &str, user: &str, config: &Config) -> Result<(), Error> {
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
        return refuse("the password holds a control character; leave it out".to_owned());
    }
    if is_among_the_first(password, user, config) {
        return refuse(
            "the password is among the first that are tried, such as common ones, names and \
             repetitions; use another one, such as four words that don't belong together"
                .to_owned(),
        );
    }
    Ok(())
}

/// Whether the password is a common one, a word of this service or the user's name, also with
/// capitals, digits and signs as people put them in (NIST SP 800-63B §3.1.1.2). There is no rule for
/// what has to be in it.
fn is_among_the_first(password: &str, user: &str, config: &Config) -> bool {
    let issuer = config.issuer.as_deref().unwrap_or_default();
    let host = issuer.split_once("://").map_or(issuer, |(_, rest)| rest);
    let host = host.split(['/', ':']).next().unwrap_or_default();
    let mut words = vec![user, host, "countersign"];
    words.extend([user, host].into_iter().flat_map(|name| name.split(['.', '-', '_', '@', ' '])));
    words.retain(|word| word.chars().count() > 2);
    // Less than a million guesses.
    zxcvbn(password, &words).score() < Score::Two
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_argon2id_with_the_documented_parameters() {
        let cost = Cost::configured(&Config::default());
        let memory = &mut Vec::new();
        let stored = cost.hash("correct horse", memory).unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        assert_eq!(Cost::of(&stored), Some(cost));
        assert!(cost.matches("correct horse", &stored, memory));
        assert!(!cost.matches("correct horsf", &stored, memory));
        assert_ne!(cost.hash("correct horse", memory).unwrap(), stored, "the salt is random");
        assert_eq!(memory.len(), 19 * 1024);
    }

    #[test]
    fn a_password_that_is_tried_first_is_refused_and_no_other() {
        let issuer = Some("https://login.example.org:8443/auth".to_owned());
        let config = Config { issuer, ..Config::default() };
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
            // Neither capitals nor digits are asked for.
            ("ovtkxqbz", true),
            ("plum carousel under seven lanterns", true),
            ("a password of your own", true),
            ("correct horse battery staple", true),
            ("not a secret: for tests alone", true),
            ("пять синих якорей", true),
        ];
        for (password, good) in cases {
            let checked = check_new(password, "jane.doe", &config);
            assert_eq!(checked.is_ok(), good, "{password}: {checked:?}");
        }
        assert!(check_new("jane.doe jane.doe", "eve", &config).is_ok(), "not of this user");
        let long = "seven lanterns ".repeat(60);
        assert!(check_new(&format!("{long}64 characters and more"), "eve", &config).is_ok());
    }

    /// As the hashes of earlier releases, which the library made.
    #[test]
    fn a_hash_of_the_library_s_own_is_as_good() {
        use argon2::PasswordHasher as _;
        let params = Params::new(64, 3, 2, None).unwrap();
        let library = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let stored = library.hash_password_with_salt(b"correct horse", &[7; 16]).unwrap();
        let stored = stored.to_string();
        let cost = Cost::of(&stored).unwrap();
        assert_eq!(cost, Cost::new(64, 3, 2));
        assert!(cost.matches("correct horse", &stored, &mut Vec::new()));
        assert!(!cost.matches("wrong horse", &stored, &mut Vec::new()));
    }
}
