//! The rules that hold between settings.

use std::time::Duration;

use url::Url;

use super::value::{show_duration, size};
use super::{Config, DAY, DatabaseUrl, HOUR, MIB, MINUTE, NOTICE_WITHIN, Resource, SESSION_MAX};
use crate::error::Error;

/// The minimum memory for 1, 2, … passes, in KiB (OWASP Password Storage Cheat Sheet). All of these
/// pairs are equally strong.
const LEAST_MEMORY: [u32; 5] = [46 * MIB, 19 * MIB, 12 * MIB, 9 * MIB, 7 * MIB];

/// The most keys in the key set, which every verifier downloads.
const MOST_KEYS: u64 = 64;

/// The most connections, and logins of a network in a minute.
const MOST: u32 = 100_000;

impl Config {
    /// Checks the rules between settings that hold for every command.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] with the first rule that is broken.
    pub fn check(&self) -> Result<(), Error> {
        self.check_ranges()?;
        self.check_hashes()?;
        if self.audience.is_empty() {
            return refuse("audience is empty; set it to the name of the API, such as \"api\"");
        }
        self.check_audiences()?;
        if self.master_key.is_some() && self.master_key_file.is_some() {
            return refuse("master_key and master_key_file are both set; set one of them");
        }
        if self.tls_cert.is_some() != self.tls_key.is_some() {
            return refuse("tls_cert and tls_key belong together; set both or none");
        }
        self.check_client_id()?;
        self.check_rotation()?;
        self.check_passkeys()?;
        self.issuer.as_deref().map_or(Ok(()), check_issuer)
    }

    /// Checks the additional rules for `serve`. On an address other than loopback it needs TLS or a
    /// proxy that ends TLS, an https issuer, and a master key.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] that names the missing setting.
    pub fn check_serve(&self) -> Result<(), Error> {
        self.check()?;
        let no_master_key = self.master_key.is_none() && self.master_key_file.is_none();
        if matches!(self.database, DatabaseUrl::Postgres(_)) && no_master_key {
            return refuse(
                "a PostgreSQL database needs master_key or master_key_file, the same for each \
                 issuer on it; make a key with: openssl rand -base64 32",
            );
        }
        if self.listen.ip().is_loopback() {
            return Ok(());
        }
        let address = self.listen;
        if self.tls_cert.is_none() && !self.behind_proxy {
            return refuse(format!(
                "{address} is not a loopback address, and passwords would cross the network in \
                 the clear; set tls_cert and tls_key, or behind_proxy = true if a proxy ends TLS"
            ));
        }
        if !self.issuer.as_ref().is_some_and(|issuer| issuer.starts_with("https://")) {
            return refuse(format!(
                "listening on {address} needs issuer, an https URL such as https://auth.example"
            ));
        }
        if no_master_key {
            return refuse(format!(
                "listening on {address} needs master_key or master_key_file; make a key with: \
                 openssl rand -base64 32"
            ));
        }
        Ok(())
    }

    fn check_ranges(&self) -> Result<(), Error> {
        between("access_ttl", self.access_ttl, 1, DAY)?;
        between("refresh_ttl", self.refresh_ttl, 1, SESSION_MAX.as_secs())?;
        between("refresh_grace", self.refresh_grace, 0, DAY)?;
        between("jwks_max_age", self.jwks_max_age, 1, DAY)?;
        between("clock_skew", self.clock_skew, 0, 5 * MINUTE)?;
        between("rotation_period", self.rotation_period, 1, 366 * DAY)?;
        between("idle_timeout", self.idle_timeout(), 1, 2 * HOUR)?;
        between("shutdown_delay", self.shutdown_delay, 0, 2 * MINUTE)?;
        for (name, value) in [
            ("connections", self.connections),
            ("connections_per_network", self.connections_per_network),
            ("login_rate", self.login_rate),
        ] {
            count_up_to(name, value, MOST)?;
        }
        if let Some(kept) = self.audit_retention {
            between("audit_retention", kept, DAY, 3660 * DAY)?;
        }
        Ok(())
    }

    /// Checks the cost of password hashes, and that the memory is enough for one.
    fn check_hashes(&self) -> Result<(), Error> {
        for (name, value) in
            [("argon2_passes", self.argon2_passes), ("argon2_lanes", self.argon2_lanes)]
        {
            count_up_to(name, value, 16)?;
        }
        let most = 1024 * MIB;
        let row = self.argon2_passes.clamp(1, 5) as usize - 1;
        let least = LEAST_MEMORY.get(row).copied().unwrap_or(most);
        if !(least..=most).contains(&self.argon2_memory) {
            return refuse(format!(
                "argon2_memory is {}; with argon2_passes = {} expected {} to {}",
                size::display(self.argon2_memory),
                self.argon2_passes,
                size::display(least),
                size::display(most),
            ));
        }
        if self.hash_memory < self.argon2_memory {
            return refuse(format!(
                "hash_memory is {}, less than one password hash takes (argon2_memory is {}); \
                 nobody could log in; make it a multiple of argon2_memory",
                size::display(self.hash_memory),
                size::display(self.argon2_memory),
            ));
        }
        Ok(())
    }

    /// Checks that tokens for the issuer itself are never tokens for an API.
    fn check_audiences(&self) -> Result<(), Error> {
        let listed = self.audiences.iter().map(Resource::as_str);
        let mut all = listed.chain([self.audience.as_str()]);
        match &self.issuer {
            Some(issuer) if all.any(|audience| audience == issuer) => refuse(format!(
                "{issuer} is both issuer and an audience; give each API a name of its own, because \
                 tokens with the audience {issuer} are for the issuer's admin API"
            )),
            _ => Ok(()),
        }
    }

    /// Checks that the client's id is short and plain, and cannot equal a user's (RFC 9068 §5).
    fn check_client_id(&self) -> Result<(), Error> {
        let id = &self.client_id;
        let is_plain = id.bytes().all(|b| b.is_ascii_graphic()) && (1..=128).contains(&id.len());
        if is_plain && !id.starts_with("user_") {
            return Ok(());
        }
        refuse(format!(
            "client_id is {id:?}; expected 1 to 128 visible ASCII characters that do not begin with \
             user_, which ids of users do"
        ))
    }

    /// Checks that every cache has a key before it signs, and that the key set stays small enough.
    fn check_rotation(&self) -> Result<(), Error> {
        let (period, notice) = (self.rotation_period.as_secs(), NOTICE_WITHIN.as_secs());
        let (age, skew) = (self.jwks_max_age.as_secs(), self.clock_skew.as_secs());
        // The next key is published when the present one begins to sign.
        let lead = self.publish_lead().as_secs();
        if period < lead {
            return refuse(format!(
                "rotation_period is {period} s, shorter than jwks_max_age ({age} s) + clock_skew \
                 ({skew} s) + {notice} s for other issuers to notice = {lead} s; a key would sign \
                 before caches can have it; make rotation_period longer"
            ));
        }
        let retiring = self.drop_lag().as_secs() / period.max(1) + 1;
        // Besides the retiring keys, the set has the active one and the next one.
        if retiring + 2 > MOST_KEYS {
            return refuse(format!(
                "rotation_period is {period} s, and a key is kept for access_ttl ({} s) + \
                 jwks_max_age ({age} s) + clock_skew ({skew} s) + {notice} s after it has signed; \
                 with {retiring} retiring keys the JWKS would have more than {MOST_KEYS} keys; make \
                 rotation_period longer",
                self.access_ttl.as_secs(),
            ));
        }
        Ok(())
    }
}

fn check_issuer(issuer: &str) -> Result<(), Error> {
    let rest = issuer.strip_prefix("https://").or_else(|| issuer.strip_prefix("http://"));
    let Some(rest) = rest else {
        return refuse(format!(
            "issuer is {issuer:?}; expected a URL such as https://auth.example"
        ));
    };
    let unfit = |c: char| c.is_whitespace() || c.is_control() || "?#\"\\<>@".contains(c);
    let is_url = !rest.starts_with('/') && Url::parse(issuer).is_ok();
    if !is_url || rest.contains(unfit) {
        return refuse(format!(
            "issuer is {issuer:?}; expected a URL with a host and without a user, a query or a \
             fragment (RFC 8414 section 2)"
        ));
    }
    Ok(())
}

fn between(name: &str, value: Duration, min: u64, max: u64) -> Result<(), Error> {
    if (min..=max).contains(&value.as_secs()) {
        return Ok(());
    }
    let [min, max] = [min, max].map(|seconds| show_duration(Duration::from_secs(seconds)));
    refuse(format!("{name} is {}; expected {min} to {max}", show_duration(value)))
}

fn count_up_to(name: &str, value: u32, max: u32) -> Result<(), Error> {
    if (1..=max).contains(&value) {
        return Ok(());
    }
    refuse(format!("{name} is {value}; expected 1 to {max}"))
}

fn refuse<T>(line: impl Into<String>) -> Result<T, Error> {
    Err(Error::Config(line.into()))
}
