//! Time-based one-time passwords (RFC 6238): HMAC-SHA-1, 6 digits, steps of 30 seconds. Authenticator
//! apps know no others reliably.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use url::Url;
use zeroize::Zeroizing;

use super::recovery::base32;
use crate::{Error, crypto};

/// The seconds of a step.
const STEP: u64 = 30;
/// The digits of a code.
const DIGITS: usize = 6;
/// The steps before and after the present one whose codes are accepted (RFC 6238 §5.2).
const WINDOW: u64 = 1;

/// A secret that an authenticator app and the issuer share: 20 bytes, as many as RFC 4226 §4
/// recommends.
pub(crate) struct Secret(Zeroizing<[u8; 20]>);

impl Secret {
    pub(crate) fn random() -> Result<Self, Error> {
        crypto::random().map(Zeroizing::new).map(Self)
    }

    pub(crate) fn of(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Zeroizing::new).map(Self)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.0.as_ref()
    }

    /// Returns the secret as people type it into an app: 32 characters of base32.
    pub(crate) fn text(&self) -> Zeroizing<String> {
        base32(self.bytes())
    }

    /// Returns the URI that apps read from a QR code. `issuer` and `user` are shown in the app.
    pub(crate) fn uri(&self, issuer: &str, user: &str) -> Result<Zeroizing<String>, Error> {
        let broken = |_| crypto::broken();
        let mut uri = Url::parse("otpauth://totp/").map_err(broken)?;
        if let Ok(mut path) = uri.path_segments_mut() {
            path.clear().push(&format!("{issuer}:{user}"));
        }
        let secret = self.text();
        uri.query_pairs_mut().append_pair("secret", &secret).append_pair("issuer", issuer);
        Ok(Zeroizing::new(uri.into()))
    }

    /// Returns the step of a code that is right at `now` and was not used: its step is after `last`.
    pub(crate) fn step_of(&self, code: &str, now: u64, last: u64) -> Option<u64> {
        let present = now / STEP;
        let steps = present.saturating_sub(WINDOW)..=present + WINDOW;
        // All are compared, so that the time does not tell the step.
        let is_right = |step: u64| {
            let expected = self.code(step);
            verify_slices_are_equal(expected.as_bytes(), code.as_bytes()).is_ok()
        };
        let right: Vec<u64> = steps.filter(|step| is_right(*step)).collect();
        right.into_iter().find(|step| *step > last)
    }

    /// Returns the code of a step (RFC 4226 §5.3).
    fn code(&self, step: u64) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, self.bytes());
        let tag = hmac::sign(&key, &step.to_be_bytes());
        let tag = tag.as_ref();
        let offset = tag.last().map_or(0, |last| usize::from(last & 15));
        let word = tag.get(offset..).and_then(|rest| rest.first_chunk::<4>());
        let number = word.map_or(0, |word| u32::from_be_bytes(*word) & 0x7fff_ffff);
        format!("{:0DIGITS$}", number % 10_u32.pow(DIGITS as u32))
    }
}

/// Returns the step that no code of a confirmed app is from: steps count from 1970.
pub(crate) const NO_STEP: u64 = 0;

#[cfg(test)]
mod tests {
    use super::*;

    fn secret() -> Secret {
        Secret::of(b"12345678901234567890").unwrap()
    }

    #[test]
    fn the_codes_are_those_of_rfc_6238() {
        // Appendix B, with the last six of its eight digits.
        for (time, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(secret().code(time / STEP), code, "{time}");
            assert_eq!(secret().step_of(code, time, NO_STEP), Some(time / STEP));
        }
    }

    #[test]
    fn a_code_works_one_step_early_and_late_and_once() {
        let now = 1_800_000_000;
        let present = now / STEP;
        for (step, works) in [(-2_i64, false), (-1, true), (0, true), (1, true), (2, false)] {
            let step = present.checked_add_signed(step).unwrap();
            let code = secret().code(step);
            let found = |last| secret().step_of(&code, now, last);
            assert_eq!(found(NO_STEP), works.then_some(step), "{step}");
            assert_eq!(found(step - 1), works.then_some(step), "{step}");
            assert_eq!(found(step), None);
            assert_eq!(found(step + 1), None);
        }
        for wrong in ["", "12345", "1234567", "abcdef", "１２３４５６"] {
            assert_eq!(secret().step_of(wrong, now, NO_STEP), None, "{wrong}");
        }
        let other = Secret::random().unwrap();
        assert_eq!(other.step_of(&secret().code(present), now, NO_STEP), None);
    }

    #[test]
    fn the_uri_names_issuer_and_user() {
        let uri = secret().uri("auth.example:8443", "zoë smith/1").unwrap();
        assert_eq!(
            *uri,
            "otpauth://totp/auth.example:8443:zo%C3%AB%20smith%2F1\
             ?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=auth.example%3A8443"
        );
    }
}
