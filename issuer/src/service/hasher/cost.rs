//! One argon2id hash (RFC 9106): its cost, its PHC string, and the comparison with a password.

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Block, Params, Version};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use zeroize::Zeroizing;

use crate::{Config, Error, crypto};

/// The parameters of argon2id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cost {
    /// In KiB.
    memory: u32,
    passes: u32,
    lanes: u32,
}

impl Cost {
    pub(crate) const fn new(memory: u32, passes: u32, lanes: u32) -> Self {
        Self { memory, passes, lanes }
    }

    /// Returns the cost of new hashes.
    pub(crate) const fn configured(config: &Config) -> Self {
        Self::new(config.argon2_memory, config.argon2_passes, config.argon2_lanes)
    }

    /// Returns the memory of one hash, in KiB.
    pub(super) const fn memory(self) -> u32 {
        self.memory
    }

    /// Reads the cost from a PHC string. Returns `None` if no password can be checked against it.
    pub(super) fn of(stored: &str) -> Option<Self> {
        let stored = PasswordHash::new(stored).ok()?;
        let whole = stored.salt.is_some() && stored.hash.is_some();
        let known = stored.algorithm.as_str() == Algorithm::Argon2id.as_str()
            && Version::try_from(stored.version?) == Ok(Version::V0x13);
        let params = Params::try_from(&stored).ok()?;
        let cost = Self::new(params.m_cost(), params.t_cost(), params.p_cost());
        (whole && known).then_some(cost)
    }

    /// Hashes a password with a random salt and returns the PHC string. `memory` may hold anything
    /// before the call. Afterwards it holds the working state of the hash, with which an attacker
    /// could test guesses cheaply.
    pub(crate) fn hash(self, password: &str, memory: &mut Vec<Block>) -> Result<String, Error> {
        let salt = crypto::random::<16>()?;
        let mut hash = Zeroizing::new([0; Params::DEFAULT_OUTPUT_LEN]);
        self.compute(password, &salt, hash.as_mut(), memory)
            .ok_or_else(|| Error::System("the password cannot be hashed".to_owned()))?;
        let Self { memory, passes, lanes } = self;
        let [salt, hash] = [salt.as_slice(), hash.as_slice()].map(|b| STANDARD_NO_PAD.encode(b));
        Ok(format!("$argon2id$v=19$m={memory},t={passes},p={lanes}${salt}${hash}"))
    }

    /// Checks a password against a PHC string of this cost. `memory` is used as in [`Cost::hash`].
    pub(super) fn matches(self, password: &str, stored: &str, memory: &mut Vec<Block>) -> bool {
        let mut check = || {
            let stored = PasswordHash::new(stored).ok()?;
            let (salt, expected) = stored.salt.as_ref().zip(stored.hash.as_ref())?;
            let mut hash = Zeroizing::new(vec![0; expected.len()]);
            self.compute(password, salt.as_ref(), &mut hash, memory)?;
            verify_slices_are_equal(&hash, expected.as_bytes()).ok()
        };
        check().is_some()
    }

    /// Checks a password against a PHC string of any cost.
    pub(crate) fn fits(password: &str, stored: &str) -> bool {
        Self::of(stored).is_some_and(|cost| cost.matches(password, stored, &mut Vec::new()))
    }

    /// Checks that a hash from elsewhere can be verified, and within the budget of the configuration.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] with the reason.
    pub(crate) fn check_foreign(stored: &str, config: &Config) -> Result<(), Error> {
        let refuse = |line: String| Err(Error::Refused(line));
        let Some(cost) = Self::of(stored) else {
            return refuse("the hash is not argon2id in PHC form, such as $argon2id$v=19$…".into());
        };
        if cost.memory > config.hash_memory || cost.passes > 16 {
            return refuse(format!(
                "the hash costs too much: m={}, t={}; expected at most m={}, t=16",
                cost.memory, cost.passes, config.hash_memory
            ));
        }
        Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_hash_is_argon2id_with_the_documented_parameters() {
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
    fn old_content_of_the_memory_makes_no_difference() {
        let cost = Cost::new(64, 1, 1);
        let stored = cost.hash("correct horse", &mut Vec::new()).unwrap();
        let mut used = Block::default();
        used.as_mut().fill(7);
        for blocks in [0, 10, 64, 100] {
            let mut memory = vec![used; blocks];
            assert!(cost.matches("correct horse", &stored, &mut memory));
            assert!(!cost.matches("wrong horse", &stored, &mut memory));
            assert!(memory.iter().take(64).all(|block| AsRef::<[u64]>::as_ref(block)[0] != 7));
        }
    }

    #[test]
    fn a_hash_made_by_the_library_itself_is_accepted() {
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
