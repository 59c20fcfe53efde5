//! Passwords: argon2id on blocking threads, a bounded number at a time, and exactly one hash for
//! each attempt whatever is wrong with it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Block, Params, PasswordHasher as _, Version};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use zeroize::Zeroizing;

use crate::{Error, crypto};

/// The longest password that is hashed, in bytes of UTF-8.
pub(crate) const MAX_BYTES: usize = 1024;
/// The shortest password that `user add` and `user passwd` take, in characters
/// (NIST SP 800-63B §3.1.1.2).
pub(crate) const MIN_CHARACTERS: usize = 8;

/// Hashes and checks passwords.
pub(crate) struct Hasher {
    dummy: String,
    /// How many hashes run.
    running: Arc<Semaphore>,
    /// How many hashes run or wait.
    admitted: Arc<Semaphore>,
    /// What hashes work in, kept from one to the next: as many as have run at a time. Memory that
    /// is allocated for each is kept by the allocator, for each thread that ever ran one.
    memory: Arc<Mutex<Vec<Memory>>>,
    computed: Arc<AtomicU64>,
}

/// What one hash works in.
type Memory = Vec<Block>;

/// A place in the queue: a password that is hashed, or waits for it.
pub(crate) struct Admitted {
    _place: OwnedSemaphorePermit,
}

/// More passwords are waiting to be hashed than the queue takes.
#[derive(Debug)]
pub(crate) struct QueueFull;

impl Hasher {
    /// `parallel` hashes run at a time, `queue` more may wait.
    pub(crate) fn new(parallel: usize, queue: usize) -> Result<Self, Error> {
        let parallel = parallel.max(1);
        Ok(Self {
            dummy: hash(&crypto::random_id()?)?,
            running: Arc::new(Semaphore::new(parallel)),
            admitted: Arc::new(Semaphore::new(parallel + queue)),
            memory: Arc::default(),
            computed: Arc::default(),
        })
    }

    /// A place in the queue, for one hash.
    pub(crate) fn admit(&self) -> Result<Admitted, QueueFull> {
        let place = Arc::clone(&self.admitted).try_acquire_owned().map_err(|_| QueueFull)?;
        Ok(Admitted { _place: place })
    }

    /// Whether `password` is the one behind `stored`. Without a stored hash, or with a password
    /// that nobody can have, the answer is no, after the same work.
    pub(crate) async fn verify(
        &self,
        admitted: Admitted,
        password: Zeroizing<String>,
        stored: Option<&str>,
    ) -> bool {
        // It is never closed.
        let Ok(running) = Arc::clone(&self.running).acquire_owned().await else { return false };
        let possible = stored.is_some() && (1..=MAX_BYTES).contains(&password.len());
        let (password, stored) = match stored {
            Some(stored) if possible => (password, stored.to_owned()),
            _ => (Zeroizing::new(String::new()), self.dummy.clone()),
        };
        let computed = Arc::clone(&self.computed);
        let pool = Arc::clone(&self.memory);
        // The permits move along, so that a client that hangs up frees nothing early.
        let check = move || {
            let _permits = (admitted, running);
            computed.fetch_add(1, Ordering::Relaxed);
            let pool = || pool.lock().unwrap_or_else(PoisonError::into_inner);
            let mut memory = pool().pop().unwrap_or_default();
            let good = matches(&password, &stored, &mut memory);
            pool().push(memory);
            good
        };
        // A panic in the hash is a no.
        let good = tokio::task::spawn_blocking(check).await.unwrap_or(false);
        good && possible
    }

    /// How many hashes were computed by [`Hasher::verify`] so far.
    pub(crate) fn computed(&self) -> u64 {
        self.computed.load(Ordering::Relaxed)
    }
}

/// The PHC string of a new password.
pub(crate) fn hash(password: &str) -> Result<String, Error> {
    let salt = crypto::random::<16>()?;
    argon2()
        .and_then(|argon2| argon2.hash_password_with_salt(password.as_bytes(), &salt).ok())
        .map(|hash| hash.to_string())
        .ok_or_else(|| Error::System("the password can't be hashed".to_owned()))
}

/// Whether a new password may be set.
///
/// # Errors
///
/// [`Error::Refused`] when it is too short, too long, or holds a control character.
pub(crate) fn check_new(password: &str) -> Result<(), Error> {
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
    Ok(())
}

/// Whether the password is the one behind the PHC string.
fn matches(password: &str, stored: &str, memory: &mut Memory) -> bool {
    check(password, stored, memory).unwrap_or(false)
}

fn check(password: &str, stored: &str, memory: &mut Memory) -> Option<bool> {
    let stored = PasswordHash::new(stored).ok()?;
    let (salt, expected) = stored.salt.as_ref().zip(stored.hash.as_ref())?;
    // The parameters are those that the stored hash was made with.
    let params = Params::try_from(&stored).ok()?;
    memory.resize(params.block_count(), Block::default());
    let algorithm = Algorithm::new(stored.algorithm.as_str()).ok()?;
    let version = Version::try_from(stored.version?).ok()?;
    let mut hash = Zeroizing::new(vec![0; expected.len()]);
    let computed = Argon2::new(algorithm, version, params).hash_password_into_with_memory(
        password.as_bytes(),
        salt.as_ref(),
        &mut hash,
        memory.as_mut_slice(),
    );
    // From what it leaves there, passwords could be tried at less than their price.
    memory.fill(Block::default());
    computed.ok()?;
    Some(verify_slices_are_equal(&hash, expected.as_bytes()).is_ok())
}

/// argon2id with 19 MiB, two passes, one lane (OWASP's first recommendation).
fn argon2() -> Option<Argon2<'static>> {
    let params = Params::new(19 * 1024, 2, 1, None).ok()?;
    Some(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_argon2id_with_the_documented_parameters() {
        let stored = hash("correct horse").unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        assert!(matches("correct horse", &stored, &mut Vec::new()));
        assert!(!matches("correct horsf", &stored, &mut Vec::new()));
        assert!(!matches("", "not a hash", &mut Vec::new()));
    }

    #[tokio::test]
    async fn each_way_to_be_wrong_costs_one_hash() {
        let hasher = Hasher::new(1, 0).unwrap();
        let stored = hash("correct horse").unwrap();
        let long = "x".repeat(MAX_BYTES + 1);
        let cases = [
            ("correct horse", Some(stored.as_str()), true),
            ("wrong horse", Some(&stored), false),
            ("", Some(&stored), false),
            (&long, Some(&stored), false),
            ("correct horse", None, false),
            ("", None, false),
        ];
        for (count, (password, stored, expected)) in (1..).zip(cases) {
            let password = Zeroizing::new(password.to_owned());
            let place = hasher.admit().unwrap();
            assert_eq!(hasher.verify(place, password, stored).await, expected);
            assert_eq!(hasher.computed(), count);
        }
        // The dummy is a hash that parses: checking against it does the work.
        assert!(PasswordHash::new(&hasher.dummy).is_ok());
    }

    async fn attempt(hasher: &Hasher) -> Result<bool, QueueFull> {
        let place = hasher.admit()?;
        Ok(hasher.verify(place, Zeroizing::new("password".to_owned()), None).await)
    }

    #[tokio::test]
    async fn hashes_work_in_the_memory_of_those_before_and_leave_nothing_in_it() {
        let hasher = Hasher::new(2, 8).unwrap();
        for _ in 0..3 {
            let attempt = || attempt(&hasher);
            let (a, b, c) = tokio::join!(attempt(), attempt(), attempt());
            assert!(a.is_ok() && b.is_ok() && c.is_ok());
        }
        let memory = hasher.memory.lock().unwrap();
        assert!((1..=2).contains(&memory.len()));
        for block in memory.iter().flatten() {
            assert!(AsRef::<[u64]>::as_ref(block).iter().all(|word| *word == 0));
        }
        assert_eq!(memory[0].len(), 19 * 1024);
    }

    #[tokio::test]
    async fn a_full_queue_is_said_at_once() {
        let hasher = Hasher::new(1, 1).unwrap();
        let attempt = || attempt(&hasher);
        let (a, b, c) = tokio::join!(attempt(), attempt(), attempt());
        assert!(a.is_ok() && b.is_ok() && c.is_err());
    }
}
