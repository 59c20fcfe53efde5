//! New hashes: argon2id (RFC 9106), their cost and their PHC string.

use argon2::{Algorithm, Argon2, Block, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use zeroize::Zeroizing;

use crate::{Config, Error, crypto};

/// The algorithm and version of new hashes.
const NEW: (Algorithm, Version) = (Algorithm::Argon2id, Version::V0x13);

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

    /// Returns the work of one hash: KiB times passes.
    pub(super) fn work(self) -> u64 {
        u64::from(self.memory) * u64::from(self.passes)
    }

    /// Hashes a password with a random salt and returns the PHC string. `memory` may hold anything
    /// before the call. Afterwards it holds the working state of the hash, with which an attacker
    /// could test guesses cheaply.
    pub(crate) fn hash(self, password: &str, memory: &mut Vec<Block>) -> Result<String, Error> {
        let salt = crypto::random::<16>()?;
        let mut hash = Zeroizing::new([0; Params::DEFAULT_OUTPUT_LEN]);
        self.compute(NEW, password.as_bytes(), &salt, hash.as_mut(), memory)
            .ok_or_else(|| Error::System("the password cannot be hashed".to_owned()))?;
        let Self { memory, passes, lanes } = self;
        let [salt, hash] = [salt.as_slice(), hash.as_slice()].map(|b| STANDARD_NO_PAD.encode(b));
        Ok(format!("$argon2id$v=19$m={memory},t={passes},p={lanes}${salt}${hash}"))
    }

    /// Computes the hash in memory that is used as in [`Cost::hash`]. Returns `None` if the library
    /// refuses an argument.
    pub(super) fn compute(
        self,
        (algorithm, version): (Algorithm, Version),
        password: &[u8],
        salt: &[u8],
        out: &mut [u8],
        memory: &mut Vec<Block>,
    ) -> Option<()> {
        let params = Params::new(self.memory, self.passes, self.lanes, Some(out.len())).ok()?;
        if memory.len() < params.block_count() {
            memory.resize(params.block_count(), Block::default());
        }
        Argon2::new(algorithm, version, params)
            .hash_password_into_with_memory(password, salt, out, memory.as_mut_slice())
            .ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::hasher::StoredHash;

    fn matches(password: &str, stored: &str, memory: &mut Vec<Block>) -> bool {
        StoredHash::parse(stored).unwrap().matches(password, memory)
    }

    #[test]
    fn a_new_hash_is_argon2id_with_the_documented_parameters() {
        let cost = Cost::configured(&Config::default());
        let memory = &mut Vec::new();
        let stored = cost.hash("correct horse", memory).unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        assert!(StoredHash::parse(&stored).unwrap().is_new(cost));
        assert!(matches("correct horse", &stored, memory));
        assert!(!matches("correct horsf", &stored, memory));
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
            assert!(matches("correct horse", &stored, &mut memory));
            assert!(!matches("wrong horse", &stored, &mut memory));
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
        assert!(StoredHash::parse(&stored).unwrap().is_new(Cost::new(64, 3, 2)));
        assert!(matches("correct horse", &stored, &mut Vec::new()));
        assert!(!matches("wrong horse", &stored, &mut Vec::new()));
    }
}
