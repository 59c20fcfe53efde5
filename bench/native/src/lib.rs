//! The contestants of `cargo xtask bench native`: libraries that check whole tokens, and libraries
//! that check signatures alone.

pub mod tokens;

use std::{
    collections::HashSet,
    sync::atomic::{AtomicBool, Ordering},
    time::SystemTime,
};

use aws_lc_rs::signature::{KeyPair as _, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256};
use countersign_verifier::{KeySet, Policy, since_epoch};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, crypto};
use jwt_simple::{
    algorithms::{RS256PublicKey, RSAPublicKeyLike as _},
    common::VerificationOptions,
    prelude::Duration,
};

use self::tokens::{AUDIENCE, Claims, ISSUER, Key, Token};

/// Returns true if a token is accepted.
pub type Check = Box<dyn Fn(&Token) -> bool>;

/// A way to check tokens.
pub struct Contestant {
    pub name: &'static str,
    /// True if it checks more than the signature.
    pub checks_claims: bool,
    pub accepts: Check,
}

/// Returns the contestants, with the key imported as far as each can: ours first, AWS-LC last.
pub fn contestants(key: &Key) -> Vec<Contestant> {
    let whole = |name, accepts| Contestant { name, checks_claims: true, accepts };
    let alone = |name, accepts| Contestant { name, checks_claims: false, accepts };
    vec![
        whole("countersign", countersign(key)),
        whole("jsonwebtoken, aws_lc_rs", jsonwebtoken(key, false)),
        whole("jsonwebtoken, rust_crypto", jsonwebtoken(key, true)),
        whole(JWT_SIMPLE, jwt_simple(key)),
        alone("ring, signature alone", ring(key)),
        alone("aws-lc-rs, signature alone", aws_lc(key)),
    ]
}

fn countersign(key: &Key) -> Check {
    let policy = Policy::new(ISSUER, AUDIENCE);
    let keys: KeySet = key.jwks().parse().expect("a key set");
    Box::new(move |token| {
        let verified = policy.verify(&keys, &token.text, since_epoch(SystemTime::now()));
        verified.is_ok_and(|verified| verified.claims_as::<Claims>().is_ok())
    })
}

/// jsonwebtoken has one backend in a process. This one is either of its two, by [`RUST_CRYPTO`].
static BACKEND: crypto::CryptoProvider = crypto::CryptoProvider {
    signer_factory: |algorithm, key| {
        (crypto::aws_lc::DEFAULT_PROVIDER.signer_factory)(algorithm, key)
    },
    verifier_factory: |algorithm, key| {
        let backend = match RUST_CRYPTO.load(Ordering::Relaxed) {
            true => &crypto::rust_crypto::DEFAULT_PROVIDER,
            false => &crypto::aws_lc::DEFAULT_PROVIDER,
        };
        (backend.verifier_factory)(algorithm, key)
    },
    key_utils: crypto::KeyUtils::new_unimplemented(),
};
static RUST_CRYPTO: AtomicBool = AtomicBool::new(false);

fn jsonwebtoken(key: &Key, rust_crypto: bool) -> Check {
    // Fails if it is installed already.
    let _ = BACKEND.install_default();
    let key = DecodingKey::from_rsa_raw_components(&key.components.n, &key.components.e);
    let mut validation = Validation::new(Algorithm::RS256);
    validation.set_issuer(&[ISSUER]);
    validation.set_audience(&[AUDIENCE]);
    validation.set_required_spec_claims(&["exp", "iss", "aud"]);
    validation.leeway = 0;
    Box::new(move |token| {
        RUST_CRYPTO.store(rust_crypto, Ordering::Relaxed);
        jsonwebtoken::decode::<Claims>(&token.text, &key, &validation).is_ok()
    })
}

const JWT_SIMPLE: &str =
    if cfg!(feature = "boring") { "jwt-simple, boring" } else { "jwt-simple, pure-rust" };

fn jwt_simple(key: &Key) -> Check {
    let key = RS256PublicKey::from_components(&key.components.n, &key.components.e);
    let key = key.expect("a public key");
    let options = VerificationOptions {
        allowed_issuers: Some(HashSet::from([ISSUER.to_owned()])),
        allowed_audiences: Some(HashSet::from([AUDIENCE.to_owned()])),
        required_signature_type: Some("at+jwt".to_owned()),
        time_tolerance: Some(Duration::from_secs(0)),
        ..VerificationOptions::default()
    };
    Box::new(move |token| key.verify_token::<Claims>(&token.text, Some(options.clone())).is_ok())
}

/// ring reads the key each time.
fn ring(key: &Key) -> Check {
    let key = ring::signature::RsaPublicKeyComponents {
        n: key.components.n.clone(),
        e: key.components.e.clone(),
    };
    let algorithm = &ring::signature::RSA_PKCS1_2048_8192_SHA256;
    Box::new(move |token| key.verify(algorithm, token.signed(), &token.signature).is_ok())
}

fn aws_lc(key: &Key) -> Check {
    let key = key.pair.public_key().as_ref();
    let key = ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key).expect("a public key");
    Box::new(move |token| key.verify_sig(token.signed(), &token.signature).is_ok())
}
