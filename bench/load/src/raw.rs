//! The machine alone: signatures and password hashes per second with nothing else to do.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use clap::ValueEnum;
use serde_json::{Value, json};

/// The issuer's most expensive work.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Work {
    /// RS256 with 2048 bits, by the library that the issuer signs with
    Signatures,
    /// argon2id with the issuer's parameters
    Hashes,
}

/// Measures `what` on all threads together.
pub(crate) fn measure(what: Work, threads: usize, seconds: f64) -> Result<Value> {
    let time = Duration::from_secs_f64(seconds);
    let started = Instant::now();
    let done = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(move || match what {
                    Work::Signatures => signatures(time),
                    Work::Hashes => hashes(time),
                })
            })
            .collect();
        workers.into_iter().try_fold(0.0, |sum, worker| {
            let rate = worker.join().map_err(|_| anyhow!("a thread panicked"))??;
            anyhow::Ok(sum + rate)
        })
    })?;
    Ok(json!({ "per_second": done, "seconds": started.elapsed().as_secs_f64() }))
}

fn signatures(time: Duration) -> Result<f64> {
    let signer = Signer::new()?;
    let mut signature = Vec::new();
    rate(time, || signer.sign(&mut signature))
}

/// Makes the signature of a token, and nothing else of the token.
pub(crate) struct Signer(RsaKeyPair);

impl Signer {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self(RsaKeyPair::generate(KeySize::Rsa2048).context("no key pair can be made")?))
    }

    pub(crate) fn sign(&self, signature: &mut Vec<u8>) -> Result<()> {
        // The length of an access token's signing input.
        let message = [b'a'; 400];
        signature.resize(self.0.public_modulus_len(), 0);
        let signed = self.0.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), &message, signature);
        signed.context("cannot sign")
    }
}

fn hashes(time: Duration) -> Result<f64> {
    // The same hash as `service/hasher/cost.rs` of the issuer.
    let params = Params::new(19 * 1024, 2, 1, None).map_err(|e| anyhow!("{e}"))?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let mut hash = [0; 32];
    rate(time, || {
        let hashed = argon2.hash_password_into(b"a password of some length", &[7; 16], &mut hash);
        hashed.map_err(|e| anyhow!("{e}"))
    })
}

/// Counts how often `work` is done per second.
fn rate(time: Duration, mut work: impl FnMut() -> Result<()>) -> Result<f64> {
    let started = Instant::now();
    let mut count = 0.0;
    while started.elapsed() < time {
        work()?;
        count += 1.0;
    }
    Ok(count / started.elapsed().as_secs_f64())
}
