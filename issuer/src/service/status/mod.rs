//! Signed status lists. A list is made when somebody requests it, from the rows of the store, and
//! is kept for a second. So each list costs at most one reading a second, however many requests
//! come, and a signature only if it changed.

mod bits;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use serde::Serialize;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};

use super::ServiceError;
use super::clock_guard::ClockGuard;
use super::issuer_url::IssuerUrl;
use super::keys::KeyRing;
use super::keys::signing::TokenType;
use crate::status::{LIFETIME, TTL};
use crate::store::Store;
use crate::{Clock, Error};

/// The time before a list is read again.
const READ_AGAIN: Duration = Duration::from_secs(1);

/// The pause between two readings of the number of the newest list.
const PAUSE: Duration = Duration::from_millis(50);

/// The age at which an unchanged list is signed again, in seconds. Until then its `ETag` stays the
/// same and clients get 304. The list is still valid for two thirds of its life at that age.
const SIGN_AGAIN: u64 = LIFETIME / 3;

/// The parts of an issuer that the lists are made from.
pub(super) struct Source {
    pub(super) issuer: IssuerUrl,
    pub(super) store: Arc<dyn Store>,
    pub(super) keys: Arc<KeyRing>,
    pub(super) clock: Clock,
    pub(super) clock_guard: Arc<ClockGuard>,
    /// How long after the end of a session an access token of it may be accepted somewhere.
    pub(super) token_end: Duration,
}

/// The lists of a running issuer.
pub(crate) struct Lists {
    source: Source,
    /// The number of bits in each list.
    size: u32,
    kept: std::sync::Mutex<HashMap<u32, Arc<Mutex<Slot>>>>,
    /// The greatest number of a list seen so far.
    newest: AtomicU32,
    /// The last reading of that number.
    reading: Mutex<Option<Reading>>,
    readings: AtomicU64,
    signatures: AtomicU64,
}

/// The state of one list. Its lock is held during a reading, so that one reading answers all
/// waiting requests.
#[derive(Default)]
struct Slot {
    /// The end of the last reading, even if it failed.
    read_at: Option<Instant>,
    bits: Vec<u8>,
    signed: Option<Arc<Signed>>,
}

struct Reading {
    began: Instant,
    failed: bool,
}

/// A Status List Token (§5.1 of the draft).
pub(crate) struct Signed {
    pub(crate) jwt: Bytes,
    /// Its strong entity tag, quotes included.
    pub(crate) etag: String,
    /// When it expires.
    pub(crate) exp: u64,
    iat: u64,
    kid: String,
}

impl Lists {
    /// Makes lists of `size` bits each. Reads nothing yet.
    pub(super) fn new(source: Source, size: u32) -> Self {
        Self {
            source,
            size,
            kept: std::sync::Mutex::default(),
            newest: AtomicU32::new(0),
            reading: Mutex::default(),
            readings: AtomicU64::new(0),
            signatures: AtomicU64::new(0),
        }
    }

    /// Returns the list of that number, at most a second old. `None` if there is no such list. If
    /// it cannot be read, returns the last one until that expires.
    ///
    /// # Errors
    ///
    /// If the list cannot be read or signed, and the last one has expired.
    pub(crate) async fn list(&self, number: u32) -> Result<Option<Arc<Signed>>, ServiceError> {
        if !self.exists(number).await? {
            return Ok(None);
        }
        let slot = self.slot(number);
        let mut slot = slot.lock().await;
        if slot.read_at.is_none_or(|at| at.elapsed() >= READ_AGAIN) {
            if let Err(e) = self.renew(number, &mut slot).await {
                tracing::error!("a status list cannot be renewed: {e}");
            }
            slot.read_at = Some(Instant::now());
        }
        let now = self.source.clock.now();
        let signed = slot.signed.as_ref().filter(|signed| now < signed.exp);
        signed.map(|signed| Some(Arc::clone(signed))).ok_or(ServiceError::StatusListUnavailable)
    }

    /// Returns the number of database readings so far.
    pub(crate) fn readings(&self) -> u64 {
        self.readings.load(Ordering::Relaxed)
    }

    /// Returns the number of signatures so far.
    pub(crate) fn signatures(&self) -> u64 {
        self.signatures.load(Ordering::Relaxed)
    }

    /// Returns true if there is a list of that number. Asks the database about an unknown number,
    /// because another issuer may have begun that list.
    async fn exists(&self, number: u32) -> Result<bool, ServiceError> {
        let known = || number <= self.newest.load(Ordering::Relaxed);
        if known() {
            return Ok(true);
        }
        let asked = Instant::now();
        let mut last = self.reading.lock().await;
        // A reading answers all requests that came before it began. So readings are few, whoever
        // asks.
        let answered = last.as_ref().is_some_and(|last| last.began > asked);
        if !known() && !answered {
            if let Some(last) = &*last {
                sleep_until(last.began + PAUSE).await;
            }
            let began = Instant::now();
            self.readings.fetch_add(1, Ordering::Relaxed);
            let newest = self.source.store.newest_status_list().await;
            if let Err(e) = &newest {
                tracing::error!("the status lists cannot be read: {e}");
            }
            *last = Some(Reading { began, failed: newest.is_err() });
            self.newest.fetch_max(newest.unwrap_or(0), Ordering::Relaxed);
        }
        match &*last {
            _ if known() => Ok(true),
            Some(Reading { failed: true, .. }) => Err(ServiceError::StatusListUnavailable),
            _ => Ok(false),
        }
    }

    fn slot(&self, number: u32) -> Arc<Mutex<Slot>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(kept.entry(number).or_default())
    }

    /// Reads the list, and signs it unless the last one is still correct.
    async fn renew(&self, number: u32, slot: &mut Slot) -> Result<(), Error> {
        let Source { issuer, store, keys, clock, clock_guard, token_end } = &self.source;
        // Taken before the reading, because the list shows the state of that time.
        let now = clock.now();
        // If the clock has jumped ahead, all sessions would count as expired although their tokens
        // are not.
        let end = token_end.as_secs();
        let over = if clock_guard.is_steady() { now.saturating_sub(end) } else { 0 };
        self.readings.fetch_add(1, Ordering::Relaxed);
        let set = store.ended_sessions(number, over).await?;
        let bits = bits::pack(self.size, &set);
        let signer = keys.signer().ok_or_else(no_key)?;
        let right = slot.signed.as_ref().is_some_and(|signed| {
            // In both directions, because the clock may have been set back.
            signed.kid == signer.kid() && now.abs_diff(signed.iat) < SIGN_AGAIN
        });
        if right && bits == slot.bits {
            return Ok(());
        }
        let exp = now + LIFETIME;
        let jwt = signer.sign(
            TokenType::StatusList,
            &Claims {
                iss: issuer.as_str(),
                sub: &issuer.status_list(number),
                iat: now,
                exp,
                ttl: TTL,
                status_list: StatusList { bits: 1, lst: bits::compress(&bits) },
            },
        )?;
        self.signatures.fetch_add(1, Ordering::Relaxed);
        let etag = format!("\"{}\"", URL_SAFE_NO_PAD.encode(digest(&SHA256, jwt.as_bytes())));
        let kid = signer.kid().to_owned();
        slot.signed = Some(Arc::new(Signed { jwt: jwt.into(), etag, exp, iat: now, kid }));
        slot.bits = bits;
        Ok(())
    }
}

fn no_key() -> Error {
    Error::System("the signing keys cannot be read".to_owned())
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    /// The URL of the list, as in the `uri` of tokens.
    sub: &'a str,
    iat: u64,
    exp: u64,
    ttl: u64,
    status_list: StatusList,
}

#[derive(Serialize)]
struct StatusList {
    /// The number of bits for each session.
    bits: u8,
    lst: String,
}
