//! Status lists (draft-ietf-oauth-status-list): the revocation of tokens before they expire.
//!
//! A list is verified like a token, with the same keys. Its claims are checked here: unlike an access
//! token's, its `iss` and `exp` may be missing.

use alloc::{
    string::{String, ToString},
    vec,
    vec::Vec,
};
use core::{fmt, time::Duration};

use countersign_claims::NumericDate;
use miniz_oxide::inflate::decompress_to_vec_zlib_with_limit;

use crate::{
    ClaimFault, Error, KeySet, Policy, Verified, base64url,
    error::{Refusal, boxed},
    json::{Document, Value},
    status_reference::whole,
    validate::{Type, date, read},
    verifier::verify_signature,
};

/// A list holds at most 16,777,216 statuses of one bit.
const MAX_BYTES: usize = 2 * 1024 * 1024;

/// The statuses of many tokens: a Status List Token (draft-ietf-oauth-status-list §5.1) that was
/// verified. [`Policy::verify_status_list`] makes one.
#[derive(Clone, PartialEq, Eq)]
pub struct StatusList {
    uri: String,
    iss: Option<String>,
    exp: Option<NumericDate>,
    tolerance: Duration,
    ttl: Option<Duration>,
    /// The number of bits of a status: 1, 2, 4 or 8.
    bits: u32,
    bytes: Vec<u8>,
}

impl Policy {
    /// Verifies the text of a status list that was fetched from `uri`, at the time `now`.
    ///
    /// The list must have the `typ` `statuslist+jwt`, a signature by one of the `keys`, `sub` equal to
    /// `uri`, and `iat`. `exp` and `nbf` are checked if they are there, with the policy's clock
    /// tolerance. The text may have 1 MiB, and the inflated list 2 MiB. The policy's issuers, audiences,
    /// claims and scopes are for access tokens: [`StatusList::check`] compares `iss`.
    ///
    /// ```
    /// use core::time::Duration;
    /// use countersign_verifier::{Error, KeySet, Policy, Verified};
    ///
    /// /// Refuses a token that was revoked. `fetch` and a cache are the caller's.
    /// fn check_status(
    ///     policy: &Policy,
    ///     keys: &KeySet,
    ///     token: &Verified,
    ///     fetch: impl Fn(&str) -> Option<String>,
    ///     now: Duration,
    /// ) -> Result<(), Error> {
    ///     // A token without a reference cannot be revoked.
    ///     let Some(reference) = token.status_reference()? else { return Ok(()) };
    ///     // The token names the URL: fetch only from origins that you trust.
    ///     if !reference.uri.starts_with("https://auth.example/") {
    ///         return Err(Error::StatusUnavailable);
    ///     }
    ///     let jwt = fetch(&reference.uri).ok_or(Error::StatusUnavailable)?;
    ///     let list = policy
    ///         .verify_status_list(keys, &jwt, &reference.uri, now)
    ///         .map_err(|_| Error::StatusUnavailable)?;
    ///     list.check(token, &[], now)
    /// }
    /// ```
    ///
    /// # Errors
    /// The list's own fault, of any [`Stage`](crate::Stage) up to the claims. The token that names the
    /// list is then best refused with [`Error::StatusUnavailable`].
    pub fn verify_status_list(
        &self,
        keys: &KeySet,
        jwt: &str,
        uri: &str,
        now: Duration,
    ) -> Result<StatusList, Error> {
        let policy = self.for_status_lists();
        let signed = verify_signature(&policy, Some(keys), jwt)?;
        let tolerance = policy.seconds("clockTolerance").unwrap_or_default();
        Ok(StatusList::read(signed.payload(), uri, tolerance, now)?)
    }
}

impl StatusList {
    /// Refuses a token whose status is neither 0 (VALID) nor one of `accepted`: 1 is INVALID, 2 is
    /// SUSPENDED, others are the issuer's own (§7.1 of the draft).
    ///
    /// # Errors
    /// [`Error::TokenRevoked`] for any other status. [`Error::StatusUnavailable`] if this list says
    /// nothing about the token: the list has expired, has no such index or another issuer, or is not the
    /// list that the token names. [`Error::ClaimInvalid`] if the token's claim `status` is malformed.
    pub fn check(&self, token: &Verified, accepted: &[u8], now: Duration) -> Result<(), Error> {
        let reference = token.status_reference()?.filter(|reference| reference.uri == self.uri);
        let is_for_token = self.iss.is_none() || self.iss == token.claims().iss;
        let status = reference.and_then(|reference| self.status(reference.idx));
        match status {
            Some(status) if is_for_token && !self.has_expired(now) => {
                let is_good = status == 0 || accepted.contains(&status);
                if is_good { Ok(()) } else { Err(Error::TokenRevoked) }
            }
            _ => Err(Error::StatusUnavailable),
        }
    }

    /// Returns the status at an index, or `None` beyond the end of the list. It may be as old as the
    /// list.
    #[must_use]
    pub fn status(&self, index: u64) -> Option<u8> {
        let per_byte = u64::from(8 / self.bits);
        let byte = *self.bytes.get(usize::try_from(index / per_byte).ok()?)?;
        let shift = u32::try_from(index % per_byte).ok()? * self.bits;
        Some((byte >> shift) & (u8::MAX >> (8 - self.bits)))
    }

    /// Returns the time after which a fresh copy should be fetched, if the list says so.
    #[must_use]
    pub const fn ttl(&self) -> Option<Duration> {
        self.ttl
    }

    /// Returns true at and after `exp`.
    #[must_use]
    pub fn has_expired(&self, now: Duration) -> bool {
        let earliest = NumericDate::from(now.saturating_sub(self.tolerance));
        self.exp.is_some_and(|exp| exp <= earliest)
    }

    fn read(
        payload: &Document,
        uri: &str,
        tolerance: Duration,
        now: Duration,
    ) -> Result<Self, Refusal> {
        let sub = read(payload, "sub", Type::String, true)?.and_then(Value::as_str);
        let iss = read(payload, "iss", Type::String, false)?.and_then(Value::as_str);
        date(payload, "iat", true)?;
        let exp = date(payload, "exp", false)?;
        let nbf = date(payload, "nbf", false)?;
        let ttl = payload.get("ttl").map(ttl).transpose()?;
        let list = payload.get("status_list");
        let list = list.ok_or_else(|| Error::claim_missing("status_list"))?;
        let (bits, compressed) = compressed(list)?;
        if sub != Some(uri) {
            let (claim, expected) = ("sub".to_string(), vec![uri.to_string()]);
            return Err(boxed(Error::ClaimMismatch { claim, found: ClaimFault::String, expected }));
        }
        if let Some(nbf) = nbf
            && nbf > NumericDate::from(now.saturating_add(tolerance))
        {
            let seconds_left = nbf.seconds().saturating_sub(now.as_secs());
            return Err(boxed(Error::TokenNotYetValid { claim: "nbf", seconds_left }));
        }
        let bytes = inflate(&compressed)
            .ok_or_else(|| invalid(list, "lst to be zlib, of at most 2 MiB when inflated"))?;
        let (uri, iss) = (uri.to_string(), iss.map(ToString::to_string));
        let list = Self { uri, iss, exp, tolerance, ttl, bits, bytes };
        if list.has_expired(now) {
            let exp = exp.map_or(0, NumericDate::seconds);
            let seconds_ago = now.as_secs().saturating_sub(exp);
            return Err(boxed(Error::TokenExpired { seconds_ago }));
        }
        Ok(list)
    }
}

/// Reads a lifetime: a number of seconds above 0.
fn ttl(value: Value<'_>) -> Result<Duration, Refusal> {
    let seconds = value.as_number().and_then(|number| number.parse().ok()).filter(|ttl| *ttl > 0.0);
    // A longer one than a `Duration` holds is as good as for ever.
    let ttl = seconds.map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX));
    ttl.ok_or_else(|| Error::claim_invalid("ttl", value.kind(), "a number of seconds, more than 0"))
}

/// Reads the number of bits of a status, and the compressed list (§4.2 of the draft).
fn compressed(list: Value<'_>) -> Result<(u32, Vec<u8>), Refusal> {
    let bits = match list.get("bits").and_then(whole) {
        Some(bits @ (1 | 2 | 4 | 8)) => bits as u32,
        _ => return Err(invalid(list, "bits to be 1, 2, 4 or 8")),
    };
    let lst = list.get("lst").and_then(Value::as_str).unwrap_or("=");
    let compressed = base64url::decode(lst).map_err(|_| invalid(list, "lst to be base64url"))?;
    Ok((bits, compressed))
}

/// Inflates zlib, and refuses data after its end.
fn inflate(compressed: &[u8]) -> Option<Vec<u8>> {
    let bytes = decompress_to_vec_zlib_with_limit(compressed, MAX_BYTES).ok()?;
    let checksum = compressed.last_chunk()?;
    (adler32(&bytes) == u32::from_be_bytes(*checksum)).then_some(bytes)
}

/// Returns the checksum at the end of zlib data (RFC 1950 §8.2).
fn adler32(bytes: &[u8]) -> u32 {
    let (a, b) = bytes.iter().fold((1, 0), |(a, b), byte| {
        let a = (a + u32::from(*byte)) % 65521;
        (a, (b + a) % 65521)
    });
    b << 16 | a
}

fn invalid(list: Value<'_>, expected: &'static str) -> Refusal {
    Error::claim_invalid("status_list", list.kind(), expected)
}

/// The statuses are many.
impl fmt::Debug for StatusList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StatusList").field("uri", &self.uri).finish_non_exhaustive()
    }
}
