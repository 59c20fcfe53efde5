//! A stored hash of a password: one of the issuer's own, or one that was moved from another system.
//!
//! The texts are PHC strings, and for bcrypt those of crypt(3). Libraries compute the hashes.

use std::num::NonZeroU32;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Block, Params, Version};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::pbkdf2;
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

use super::Cost;
use crate::{Config, Error};

/// The most work of one hash that is moved from another system: argon2, in KiB times passes. Each of
/// these limits is about a second on one core.
const MOST_ARGON2: u64 = 1 << 20;

/// The most work of one: bcrypt, the cost.
const MOST_BCRYPT: u64 = 14;

/// The most work of one: scrypt, N times r times p.
const MOST_SCRYPT: u64 = 1 << 21;

/// The most work of one: PBKDF2, iterations times blocks of output.
const MOST_PBKDF2: u64 = 2_000_000;

/// The bytes of a password that bcrypt hashes, with the zero byte at its end. It ignores the others.
const BCRYPT_BYTES: usize = 72;

/// The base64 of bcrypt. Some programs leave the unused bits of a salt as they are.
const BCRYPT_BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::BCRYPT,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::RequireNone)
        .with_decode_allow_trailing_bits(true),
);

/// A hash that can be compared with passwords.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredHash {
    function: Function,
    salt: Vec<u8>,
    hash: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Function {
    Argon2 { algorithm: Algorithm, version: Version, cost: Cost },
    Bcrypt { cost: u32 },
    Scrypt { log_n: u8, r: u32, p: u32 },
    Pbkdf2 { digest: Digest, iterations: NonZeroU32 },
}

/// The hash function inside PBKDF2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Digest {
    Sha1,
    Sha256,
    Sha512,
}

impl StoredHash {
    /// Reads a hash. The error says what is wrong, without the hash.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let kind = text.strip_prefix('$').and_then(|rest| rest.split('$').next());
        let kind = kind.unwrap_or_default();
        let (read, form) = match kind {
            "argon2id" | "argon2i" | "argon2d" => {
                (Self::argon2(text), "$argon2id$v=19$m=…,t=…,p=…$SALT$HASH")
            }
            "2a" | "2b" | "2y" => (Self::bcrypt(text), "$2b$COST$ and 53 characters"),
            "scrypt" => (Self::scrypt(text), "$scrypt$ln=…,r=…,p=…$SALT$HASH"),
            "pbkdf2-sha1" => (Self::pbkdf2(text, Digest::Sha1), PBKDF2_FORM),
            "pbkdf2-sha256" => (Self::pbkdf2(text, Digest::Sha256), PBKDF2_FORM),
            "pbkdf2-sha512" => (Self::pbkdf2(text, Digest::Sha512), PBKDF2_FORM),
            _ => {
                return Err(
                    "the hash is of no kind that is known; expected one of argon2, bcrypt, \
                            scrypt or PBKDF2, such as $argon2id$v=19$…, $2b$12$…, $scrypt$ln=… or \
                            $pbkdf2-sha256$i=…"
                        .to_owned(),
                );
            }
        };
        read.ok_or_else(|| format!("the hash of the kind {kind} is malformed; expected {form}"))
    }

    /// Reads a hash that comes from another system. Refuses one that cannot be verified within the
    /// memory of the configuration and the limits of this file.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] with the reason.
    pub(crate) fn check_foreign(text: &str, config: &Config) -> Result<(), Error> {
        let checked = Self::parse(text).and_then(|hash| hash.check_cost(config));
        checked.map_err(Error::Refused)
    }

    /// Checks a password, in its prepared form, against a hash of any kind.
    pub(crate) fn fits(password: &str, text: &str) -> bool {
        Self::parse(text).is_ok_and(|hash| hash.matches(password, &mut Vec::new()))
    }

    /// Returns true for the kind and cost of new hashes.
    pub(super) fn is_new(&self, new: Cost) -> bool {
        let Function::Argon2 { algorithm, version, cost } = self.function else { return false };
        (algorithm, version, cost) == (Algorithm::Argon2id, Version::V0x13, new)
    }

    /// Returns the memory that it takes to compute the hash, in KiB.
    pub(super) fn memory(&self) -> u32 {
        match self.function {
            Function::Argon2 { cost, .. } => cost.memory(),
            Function::Scrypt { log_n, r, p } => {
                // The N blocks of each mix, and the p blocks that are mixed (RFC 7914 §6).
                let blocks = (1 << log_n) + u64::from(p);
                let bytes = (128 * u64::from(r)).saturating_mul(blocks);
                u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX)
            }
            Function::Bcrypt { .. } | Function::Pbkdf2 { .. } => 0,
        }
    }

    /// Checks a password against the hash. `memory` is used as in [`Cost::hash`].
    pub(super) fn matches(&self, password: &str, memory: &mut Vec<Block>) -> bool {
        let mut computed = Zeroizing::new(vec![0; self.hash.len()]);
        self.compute(password.as_bytes(), &mut computed, memory).is_some()
            && verify_slices_are_equal(&computed, &self.hash).is_ok()
    }

    fn compute(&self, password: &[u8], out: &mut [u8], memory: &mut Vec<Block>) -> Option<()> {
        match self.function {
            Function::Argon2 { algorithm, version, cost } => {
                cost.compute((algorithm, version), password, &self.salt, out, memory)
            }
            Function::Bcrypt { cost } => {
                let mut key = Zeroizing::new([0; BCRYPT_BYTES]);
                let length = password.len().min(BCRYPT_BYTES);
                key.get_mut(..length)?.copy_from_slice(password.get(..length)?);
                let key = key.get(..BCRYPT_BYTES.min(length + 1))?;
                let hash = bcrypt::bcrypt(cost, *self.salt.first_chunk()?, key);
                out.copy_from_slice(hash.get(..out.len())?);
                Some(())
            }
            Function::Scrypt { log_n, r, p } => {
                // The library takes memory of its own.
                memory.fill(Block::default());
                *memory = Vec::new();
                let params = scrypt::Params::new(log_n, r, p).ok()?;
                scrypt::scrypt(password, &self.salt, &params, out).ok()
            }
            Function::Pbkdf2 { digest, iterations } => {
                pbkdf2::derive(digest.pbkdf2(), iterations, &self.salt, password, out);
                Some(())
            }
        }
    }

    fn check_cost(&self, config: &Config) -> Result<(), String> {
        let hash_memory = config.hash_memory;
        if self.memory() > hash_memory {
            return Err(format!(
                "the hash costs too much memory: {} KiB; expected at most hash_memory, {hash_memory} \
                 KiB",
                self.memory()
            ));
        }
        let (measure, work, most) = match self.function {
            Function::Argon2 { cost, .. } => {
                ("m times t", cost.work(), MOST_ARGON2.max(Cost::configured(config).work()))
            }
            Function::Bcrypt { cost } => ("the cost", cost.into(), MOST_BCRYPT),
            Function::Scrypt { log_n, r, p } => {
                let work = (u64::from(r) * u64::from(p)).saturating_mul(1 << log_n);
                ("2^ln times r times p", work, MOST_SCRYPT)
            }
            Function::Pbkdf2 { digest, iterations } => {
                let blocks = self.hash.len().div_ceil(digest.bytes()) as u64;
                ("i times the blocks of output", u64::from(iterations.get()) * blocks, MOST_PBKDF2)
            }
        };
        if work > most {
            return Err(format!(
                "the hash costs too much time: {measure} is {work}; expected at most {most}"
            ));
        }
        Ok(())
    }

    /// Returns `None` if the text is malformed, as the next ones do. Early versions of argon2 wrote
    /// none.
    fn argon2(text: &str) -> Option<Self> {
        let parts = PasswordHash::new(text).ok()?;
        let algorithm = Algorithm::try_from(parts.algorithm.as_str()).ok()?;
        let version = parts.version.map_or(Ok(Version::V0x10), Version::try_from).ok()?;
        let [memory, passes, lanes] = numbers(&parts, ["m", "t", "p"])?;
        let params = Params::new(memory, passes, lanes, Some(parts.hash.as_ref()?.len())).ok()?;
        let cost = Cost::new(params.m_cost(), params.t_cost(), params.p_cost());
        Self::of(&parts, Function::Argon2 { algorithm, version, cost })
    }

    fn scrypt(text: &str) -> Option<Self> {
        let parts = PasswordHash::new(text).ok()?;
        let [log_n, r, p] = numbers(&parts, ["ln", "r", "p"])?;
        let log_n = u8::try_from(log_n).ok()?;
        // The library multiplies them without a check.
        r.checked_mul(p)?;
        scrypt::Params::new(log_n, r, p).ok()?;
        parts.version.is_none().then_some(())?;
        Self::of(&parts, Function::Scrypt { log_n, r, p })
    }

    fn pbkdf2(text: &str, digest: Digest) -> Option<Self> {
        let parts = PasswordHash::new(text).ok()?;
        let iterations = match numbers(&parts, ["i"]) {
            Some([iterations]) => iterations,
            // RustCrypto writes the length of the hash too.
            None => {
                let [iterations, length] = numbers(&parts, ["i", "l"])?;
                (parts.hash.as_ref()?.len() == length as usize).then_some(iterations)?
            }
        };
        let iterations = NonZeroU32::new(iterations)?;
        parts.version.is_none().then_some(())?;
        Self::of(&parts, Function::Pbkdf2 { digest, iterations })
    }

    fn of(parts: &PasswordHash, function: Function) -> Option<Self> {
        let salt = parts.salt.as_ref()?.as_ref().to_vec();
        let hash = parts.hash.as_ref()?.as_bytes().to_vec();
        Some(Self { function, salt, hash })
    }

    fn bcrypt(text: &str) -> Option<Self> {
        let [_, _, cost, rest]: [&str; 4] = text.split('$').collect::<Vec<_>>().try_into().ok()?;
        let has_two_digits = cost.len() == 2 && cost.bytes().all(|byte| byte.is_ascii_digit());
        let cost = cost.parse().ok().filter(|cost| has_two_digits && (4..=31).contains(cost))?;
        let (salt, hash) = rest.split_at_checked(22).filter(|(_, hash)| hash.len() == 31)?;
        let [salt, hash] = [salt, hash].map(|part| BCRYPT_BASE64.decode(part).ok());
        Some(Self { function: Function::Bcrypt { cost }, salt: salt?, hash: hash? })
    }
}

const PBKDF2_FORM: &str = "$pbkdf2-sha256$i=…$SALT$HASH";

/// Returns the parameters of a PHC string, if they are these and no others.
fn numbers<const N: usize>(parts: &PasswordHash, names: [&str; N]) -> Option<[u32; N]> {
    let numbers = names.map(|name| parts.params.get_decimal(name));
    (parts.params.iter().count() == N && numbers.iter().all(Option::is_some))
        .then(|| numbers.map(Option::unwrap_or_default))
}

impl Digest {
    const fn pbkdf2(self) -> pbkdf2::Algorithm {
        match self {
            Self::Sha1 => pbkdf2::PBKDF2_HMAC_SHA1,
            Self::Sha256 => pbkdf2::PBKDF2_HMAC_SHA256,
            Self::Sha512 => pbkdf2::PBKDF2_HMAC_SHA512,
        }
    }

    /// Returns the bytes of one hash, which are a block of the output.
    const fn bytes(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// Hashes that other programs have made.
    fn vectors() -> Vec<(String, String)> {
        let lines = include_str!("../../../tests/data/foreign_hashes.jsonl").lines();
        lines
            .map(|line| {
                let line: Value = serde_json::from_str(line).unwrap();
                let text = |name: &str| line[name].as_str().unwrap().to_owned();
                (text("password"), text("hash"))
            })
            .collect()
    }

    fn checked(text: &str) -> Result<(), String> {
        StoredHash::check_foreign(text, &Config::default()).map_err(|e| e.to_string())
    }

    #[test]
    fn hashes_of_other_programs_fit_their_passwords_alone() {
        let mut used = Block::default();
        used.as_mut().fill(7);
        for (password, text) in vectors() {
            assert_eq!(checked(&text), Ok(()), "{text}");
            let hash = StoredHash::parse(&text).unwrap();
            assert!(hash.matches(&password, &mut Vec::new()), "{text}");
            assert!(hash.matches(&password, &mut vec![used; 200]), "{text}");
            assert!(StoredHash::fits(&password, &text));
            for wrong in ["", "Correct horse", &format!("y{password}")] {
                assert!(!hash.matches(wrong, &mut Vec::new()), "{text}: {wrong:?}");
            }
        }
    }

    #[test]
    fn bcrypt_ignores_what_comes_after_72_bytes() {
        for (password, text) in vectors() {
            let longer = format!("{password}x");
            let is_cut = text.starts_with("$2") && password.len() >= BCRYPT_BYTES;
            assert_eq!(StoredHash::fits(&longer, &text), is_cut, "{text}");
        }
    }

    #[test]
    fn a_hash_that_costs_too_much_is_refused_with_the_limit() {
        let (salt, hash) = ("c29tZXNhbHQ", "aGFzaGhhc2hoYXNo");
        let rest = ".".repeat(53);
        for (cost, expected) in [
            (format!("$argon2id$v=19$m=262144,t=4,p=1${salt}${hash}"), None),
            (
                format!("$argon2id$v=19$m=262145,t=1,p=1${salt}${hash}"),
                Some("262145 KiB; expected at most hash_memory, 262144 KiB"),
            ),
            (
                format!("$argon2i$v=19$m=4194304,t=1,p=1${salt}${hash}"),
                Some("4194304 KiB; expected at most hash_memory"),
            ),
            (
                format!("$argon2d$m=8192,t=129,p=1${salt}${hash}"),
                Some("m times t is 1056768; expected at most 1048576"),
            ),
            (
                format!("$argon2id$v=19$m=8,t=4294967295,p=1${salt}${hash}"),
                Some("m times t is 34359738360"),
            ),
            (format!("$2b$14${rest}"), None),
            (format!("$2b$15${rest}"), Some("the cost is 15; expected at most 14")),
            (format!("$2a$31${rest}"), Some("the cost is 31; expected at most 14")),
            (format!("$scrypt$ln=17,r=8,p=2${salt}${hash}"), None),
            (
                format!("$scrypt$ln=18,r=8,p=1${salt}${hash}"),
                Some("262145 KiB; expected at most hash_memory"),
            ),
            (
                format!("$scrypt$ln=14,r=8,p=17${salt}${hash}"),
                Some("2^ln times r times p is 2228224; expected at most 2097152"),
            ),
            (format!("$scrypt$ln=50,r=8,p=1${salt}${hash}"), Some("too much memory")),
            (format!("$scrypt$ln=1,r=1048576,p=1${salt}${hash}"), Some("393216 KiB")),
            (format!("$scrypt$ln=1,r=2097152,p=1${salt}${hash}"), Some("too much memory")),
            (format!("$pbkdf2-sha256$i=2000000${salt}${hash}"), None),
            (
                format!("$pbkdf2-sha512$i=2000001${salt}${hash}"),
                Some("i times the blocks of output is 2000001; expected at most 2000000"),
            ),
            (
                format!("$pbkdf2-sha1$i=1000000${salt}${}", hash.repeat(4)),
                Some("is 3000000; expected at most 2000000"),
            ),
            (format!("$pbkdf2-sha1$i=4294967295${salt}${hash}"), Some("is 4294967295")),
        ] {
            match (checked(&cost), expected) {
                (Ok(()), None) => {}
                (Err(line), Some(expected)) => assert!(line.contains(expected), "{cost}: {line}"),
                (result, _) => panic!("{cost}: {result:?}"),
            }
        }
    }

    #[test]
    fn the_memory_of_many_small_mixes_counts() {
        let text = "$scrypt$ln=1,r=1,p=1048576$c29tZXNhbHQ$aGFzaGhhc2hoYXNo";
        assert_eq!(StoredHash::parse(text).unwrap().memory(), 128 * 1024 + 1);
        let config = Config { hash_memory: 128 * 1024, ..Config::default() };
        let line = StoredHash::check_foreign(text, &config).unwrap_err().to_string();
        assert!(line.contains("131073 KiB; expected at most hash_memory"), "{line}");
    }

    #[test]
    fn a_hash_that_costs_no_more_than_new_ones_is_accepted() {
        let config = Config { argon2_memory: 262_144, argon2_passes: 8, ..Config::default() };
        let hash = |passes| {
            let text =
                format!("$argon2i$v=19$m=262144,t={passes},p=1$c29tZXNhbHQ$aGFzaGhhc2hoYXNo");
            StoredHash::check_foreign(&text, &config).is_ok()
        };
        assert!(hash(8) && !hash(9));
    }

    #[test]
    fn a_text_that_is_no_hash_is_refused_with_the_form_that_was_expected() {
        let (salt, hash) = ("c29tZXNhbHQ", "aGFzaGhhc2hoYXNo");
        let parts = format!("${salt}${hash}");
        for (text, expected) in [
            (String::new(), "no kind that is known"),
            ("correct horse".into(), "no kind that is known"),
            ("5f4dcc3b5aa765d61d8327deb882cf99".into(), "no kind that is known"),
            (format!("$argon2x$v=19$m=64,t=1,p=1{parts}"), "no kind that is known"),
            (format!("$2x$10${}", ".".repeat(53)), "no kind that is known"),
            (format!("$6$rounds=5000{parts}"), "no kind that is known"),
            (format!("$pbkdf2-md5$i=1000{parts}"), "no kind that is known"),
            (format!("argon2id$v=19$m=64,t=1,p=1{parts}"), "no kind that is known"),
            (format!(" $argon2id$v=19$m=64,t=1,p=1{parts}"), "no kind that is known"),
            ("$argon2id".into(), "argon2id is malformed; expected $argon2id$v=19$m="),
            (format!("$argon2id$v=19$m=64,t=1,p=1${salt}"), "argon2id is malformed"),
            (format!("$argon2id$v=20$m=64,t=1,p=1{parts}"), "argon2id is malformed"),
            (format!("$argon2id$v=19$m=64,t=1{parts}"), "argon2id is malformed"),
            (format!("$argon2id$v=19$m=64,t=1,p=1,keyid=AAAA{parts}"), "argon2id is malformed"),
            (format!("$argon2id$v=19$m=64,t=1,p=1,data=AAAA{parts}"), "argon2id is malformed"),
            (format!("$argon2id$v=19$m=64,t=0,p=1{parts}"), "argon2id is malformed"),
            (format!("$argon2id$v=19$m=64,t=1,p=9{parts}"), "argon2id is malformed"),
            (format!("$argon2id$v=19$m=64,t=1,p=1{parts}="), "argon2id is malformed"),
            (format!("$argon2id$v=19$m=64,t=1,p=1{parts}\n"), "argon2id is malformed"),
            (format!("$argon2id$v=19$m=64,t=1,p=1$c2FsdA${hash}"), "argon2id is malformed"),
            ("$2b$".into(), "2b is malformed; expected $2b$COST$"),
            ("$2b$99$".into(), "2b is malformed"),
            (format!("$2b$3${}", ".".repeat(53)), "2b is malformed"),
            (format!("$2b$03${}", ".".repeat(53)), "2b is malformed"),
            (format!("$2b$32${}", ".".repeat(53)), "2b is malformed"),
            (format!("$2b$+9${}", ".".repeat(53)), "2b is malformed"),
            (format!("$2b$10${}", ".".repeat(52)), "2b is malformed"),
            (format!("$2b$10${}", ".".repeat(54)), "2b is malformed"),
            (format!("$2b$10${}é", ".".repeat(51)), "2b is malformed"),
            (format!("$2b$10${}é{}", ".".repeat(21), ".".repeat(30)), "2b is malformed"),
            (format!("$2b$10${}$", ".".repeat(53)), "2b is malformed"),
            (format!("$2b$10${}=", ".".repeat(52)), "2b is malformed"),
            (format!("$scrypt$ln=64,r=8,p=1{parts}"), "scrypt is malformed"),
            (format!("$scrypt$ln=300,r=8,p=1{parts}"), "scrypt is malformed"),
            (format!("$scrypt$ln=1,r=65536,p=65536{parts}"), "scrypt is malformed"),
            (format!("$scrypt$ln=1,r=0,p=1{parts}"), "scrypt is malformed"),
            (format!("$scrypt$ln=1,r=8{parts}"), "scrypt is malformed"),
            (format!("$scrypt$v=1$ln=1,r=8,p=1{parts}"), "scrypt is malformed"),
            (format!("$pbkdf2-sha256$i=0{parts}"), "pbkdf2-sha256 is malformed"),
            (format!("$pbkdf2-sha256$i=-1{parts}"), "pbkdf2-sha256 is malformed"),
            (format!("$pbkdf2-sha256$i=4294967296{parts}"), "pbkdf2-sha256 is malformed"),
            (format!("$pbkdf2-sha256$i=1000,l=64{parts}"), "pbkdf2-sha256 is malformed"),
            (format!("$pbkdf2-sha256$i=1000,x=12{parts}"), "pbkdf2-sha256 is malformed"),
            (format!("$pbkdf2-sha512$i=1000${salt}$"), "pbkdf2-sha512 is malformed"),
            (format!("$pbkdf2-sha512$i=1000${salt}${}", hash.repeat(6)), "pbkdf2-sha512"),
            (format!("$scrypt$ln=4,r=8,p=1${salt}${}", "A".repeat(100_000)), "scrypt"),
        ] {
            let line = checked(&text).unwrap_err();
            assert!(line.contains(expected), "{text:.80}: {line}");
            assert!(!line.contains(hash) && !line.contains("5f4dcc"), "{line}");
            assert!(!StoredHash::fits("correct horse", &text), "{text:.80}");
        }
    }

    #[test]
    fn scrypt_leaves_no_content_of_an_earlier_hash_behind() {
        let (password, text) =
            vectors().into_iter().find(|(_, text)| text.starts_with("$scrypt$")).unwrap();
        let mut memory = vec![Block::default(); 100];
        assert!(StoredHash::parse(&text).unwrap().matches(&password, &mut memory));
        assert_eq!(memory.capacity(), 0);
    }
}
