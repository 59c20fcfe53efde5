//! Refresh tokens for the sessions of `fill`, made as the issuer makes them.

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result, anyhow};
use aws_lc_rs::{hkdf, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use clap::Args;
use serde_json::{Value, json};

use crate::fill::session_id;

#[derive(Args)]
pub(crate) struct Options {
    /// The file with the issuer's master key
    #[arg(long)]
    master_key: PathBuf,
    /// How many users there are
    #[arg(long)]
    users: u64,
    /// For how many of them, at most
    #[arg(long)]
    count: u64,
    /// The file to write, one token a line
    #[arg(long)]
    out: PathBuf,
}

/// `issuer/src/session.rs` and `issuer/src/crypto.rs` have the same.
const VERSION: u8 = 1;
const PURPOSE: &[u8] = b"countersign refresh tokens v1";

pub(crate) fn write(options: &Options) -> Result<Value> {
    let key = key(options)?;
    let count = options.count.min(options.users);
    let mut lines = String::new();
    for one in 0..count {
        let mut token = vec![VERSION];
        token.extend(session_id(one * (options.users / count)));
        token.extend(0_u64.to_be_bytes());
        token.extend(hmac::sign(&key, &token.clone()).as_ref());
        writeln!(lines, "{}", URL_SAFE_NO_PAD.encode(token))?;
    }
    std::fs::write(&options.out, lines)?;
    Ok(json!({ "tokens": count }))
}

fn key(options: &Options) -> Result<hmac::Key> {
    let path = &options.master_key;
    let text = std::fs::read_to_string(path);
    let text = text.with_context(|| format!("cannot read {}", path.display()))?;
    let master = STANDARD.decode(text.trim_ascii())?;
    let broken = |_| anyhow!("the key cannot be derived");
    let mut key = [0; 32];
    let secret = hkdf::Salt::new(hkdf::HKDF_SHA256, &[]).extract(&master);
    let purpose = [PURPOSE];
    secret.expand(&purpose, hkdf::HKDF_SHA256).map_err(broken)?.fill(&mut key).map_err(broken)?;
    Ok(hmac::Key::new(hmac::HMAC_SHA256, &key))
}
