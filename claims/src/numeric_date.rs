//! Dates in tokens, read without rounding.

use core::{fmt, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A NumericDate (RFC 7519 §2): seconds since 1970-01-01T00:00:00Z, without leap seconds. The RFC
/// allows fractions and exponents. Negative dates are not supported.
///
/// A parsed date compares with any [`Duration`] since the epoch exactly as its decimal number does.
/// Decimals after the ninth are kept as "a little more", so that rounding never makes a token live
/// longer or start sooner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NumericDate {
    // The derived comparison uses the fields in this order.
    seconds: u64,
    nanoseconds: u32,
    and_a_little_more: bool,
}

impl NumericDate {
    /// Makes a date of whole seconds since the epoch.
    #[must_use]
    pub const fn from_seconds(seconds: u64) -> Self {
        Self { seconds, nanoseconds: 0, and_a_little_more: false }
    }

    /// Returns the whole seconds since the epoch, without the fraction.
    #[must_use]
    pub const fn seconds(self) -> u64 {
        self.seconds
    }

    /// Returns true if no decimals after the ninth were dropped.
    #[must_use]
    pub const fn is_exact(self) -> bool {
        !self.and_a_little_more
    }

    /// Reads the text of a JSON number (RFC 8259 §6), exactly.
    ///
    /// Returns `None` for a number with a minus sign (even `-0`), for 2⁶⁴ seconds or more, and for
    /// text that is not a JSON number.
    ///
    /// ```
    /// use core::time::Duration;
    /// use countersign_claims::NumericDate;
    ///
    /// let now = NumericDate::from(Duration::from_secs(1_700_000_000));
    /// assert_eq!(NumericDate::parse("1.7e9"), Some(now));
    /// assert!(NumericDate::parse("1700000000.0000000000001").unwrap() > now);
    /// assert_eq!(NumericDate::parse("1e400"), None);
    /// assert_eq!(NumericDate::parse("-1"), None);
    /// ```
    #[must_use]
    pub fn parse(number: &str) -> Option<Self> {
        let (whole, rest) = digits(number.as_bytes());
        let (fraction, rest) = match rest {
            [b'.', rest @ ..] => digits(rest),
            _ => (ZERO, rest),
        };
        let (sign, (exponent, rest)) = match rest {
            [b'e' | b'E', b'-', rest @ ..] => (-1, digits(rest)),
            [b'e' | b'E', b'+', rest @ ..] | [b'e' | b'E', rest @ ..] => (1, digits(rest)),
            _ => (1, (ZERO, rest)),
        };
        let is_whole = matches!(whole, [b'0'] | [b'1'..=b'9', ..]);
        if !is_whole || fraction.is_empty() || exponent.is_empty() || !rest.is_empty() {
            return None;
        }

        // A digit is worth 10 to the power of its place. Zeros follow the last digit.
        let exponent = exponent.iter().fold(0, |n, digit| (n * 10 + value(digit)).min(FAR));
        let mut place = whole.len() as i64 + sign * exponent as i64 - 1;
        let mut date = Self::from_seconds(0);
        let mut digits = whole.iter().chain(fraction);
        loop {
            let digit = match digits.next() {
                Some(digit) => value(digit),
                None if place < -9 => return Some(date),
                None => {
                    // Zeros leave 0 seconds at 0, whatever the exponent.
                    place = if date.seconds == 0 { place.min(-1) } else { place };
                    0
                }
            };
            match place {
                0.. if date.seconds > u64::MAX / 10 => return None,
                0.. => date.seconds = (date.seconds * 10).checked_add(digit)?,
                -9..0 => date.nanoseconds = date.nanoseconds * 10 + digit as u32,
                _ => date.and_a_little_more |= digit != 0,
            }
            place -= 1;
        }
    }
}

const ZERO: &[u8] = b"0";

/// An exponent beyond ±10¹⁵ counts as ±10¹⁵: no mantissa that fits in memory can bring such a number
/// back into range.
const FAR: u64 = 1_000_000_000_000_000;

/// Splits a text after its leading digits.
fn digits(text: &[u8]) -> (&[u8], &[u8]) {
    text.split_at(text.iter().take_while(|byte| byte.is_ascii_digit()).count())
}

fn value(digit: &u8) -> u64 {
    u64::from(digit - b'0')
}

impl From<Duration> for NumericDate {
    fn from(since_epoch: Duration) -> Self {
        Self {
            seconds: since_epoch.as_secs(),
            nanoseconds: since_epoch.subsec_nanos(),
            and_a_little_more: false,
        }
    }
}

/// Drops the fraction beyond nanoseconds.
impl From<NumericDate> for Duration {
    fn from(date: NumericDate) -> Self {
        Self::from_secs(date.seconds).saturating_add(Self::from_nanos(date.nanoseconds.into()))
    }
}

/// Writes the seconds, with nine decimals if there is a fraction.
impl fmt::Display for NumericDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.seconds)?;
        if self.nanoseconds != 0 {
            write!(f, ".{:09}", self.nanoseconds)?;
        }
        Ok(())
    }
}

impl Serialize for NumericDate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.nanoseconds == 0 {
            serializer.serialize_u64(self.seconds)
        } else {
            serializer.serialize_f64(Duration::from(*self).as_secs_f64())
        }
    }
}

/// Reads an integer exactly, and a fraction with the precision of an `f64`. The verifier parses the
/// text instead.
impl<'de> Deserialize<'de> for NumericDate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = NumericDate;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("seconds since the UNIX epoch, not negative")
            }
            fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<NumericDate, E> {
                Ok(NumericDate::from_seconds(seconds))
            }
            fn visit_f64<E: de::Error>(self, seconds: f64) -> Result<NumericDate, E> {
                Duration::try_from_secs_f64(seconds)
                    .map(NumericDate::from)
                    .map_err(|_| E::invalid_value(de::Unexpected::Float(seconds), &self))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{format, string::String};

    fn date(seconds: u64, nanoseconds: u32, and_a_little_more: bool) -> Option<NumericDate> {
        Some(NumericDate { seconds, nanoseconds, and_a_little_more })
    }

    #[test]
    fn every_notation_of_a_number_is_read_exactly() {
        for (text, expected) in [
            ("0", date(0, 0, false)),
            ("0.000", date(0, 0, false)),
            ("0e999999999999999999999", date(0, 0, false)),
            ("1700000000", date(1_700_000_000, 0, false)),
            ("1700000000.5", date(1_700_000_000, 500_000_000, false)),
            ("1.7e9", date(1_700_000_000, 0, false)),
            ("1.7E+9", date(1_700_000_000, 0, false)),
            ("17000000005e-1", date(1_700_000_000, 500_000_000, false)),
            ("0.0000000017e18", date(1_700_000_000, 0, false)),
            ("1.000000001", date(1, 1, false)),
            ("1.0000000001", date(1, 0, true)),
            ("0.00000000000000000001", date(0, 0, true)),
            ("12e-10", date(0, 1, true)),
            ("1e-400", date(0, 0, true)),
            ("1e-99999999999999999999", date(0, 0, true)),
            ("18446744073709551615", date(u64::MAX, 0, false)),
            ("18446744073709551615.9999999999", date(u64::MAX, 999_999_999, true)),
        ] {
            assert_eq!(NumericDate::parse(text), expected, "{text}");
        }
    }

    #[test]
    fn text_that_is_not_a_date_is_refused() {
        for text in [
            "",
            "-1",
            "-0",
            "+1",
            "01",
            "1.",
            ".5",
            "1e",
            "1e+",
            "e9",
            "1e400",
            "NaN",
            "Infinity",
            "18446744073709551616",
            "1e20",
            "1e99999999999999999999",
            "0x10",
            " 1",
            "1 ",
            "1_0",
            "--1",
            "1e5.5",
            "٣",
        ] {
            assert_eq!(NumericDate::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_long_tail_of_zeros_changes_nothing() {
        let zeros: String = core::iter::repeat_n('0', 5000).collect();
        assert_eq!(NumericDate::parse(&format!("17.{zeros}")), date(17, 0, false));
        assert_eq!(NumericDate::parse(&format!("17.{zeros}1")), date(17, 0, true));
        assert_eq!(NumericDate::parse(&format!("17{zeros}e-5000")), date(17, 0, false));
    }

    #[test]
    fn a_date_with_more_than_nine_decimals_is_not_exact() {
        assert!(NumericDate::parse("17.123456789").is_some_and(NumericDate::is_exact));
        assert!(NumericDate::parse("17.0000000000").is_some_and(NumericDate::is_exact));
        assert!(!NumericDate::parse("17.1234567891").is_some_and(NumericDate::is_exact));
    }

    #[test]
    fn dates_order_against_a_clock_without_rounding() {
        let now = NumericDate::from(Duration::new(100, 5));
        assert!(NumericDate::parse("100.000000005").unwrap() == now);
        assert!(NumericDate::parse("100.00000000500001").unwrap() > now);
        assert!(NumericDate::parse("100.00000000499999").unwrap() < now);
    }

    #[test]
    fn serde_reads_and_writes_integers_and_fractions() {
        for json in ["0", "1700000000", "1700000000.5"] {
            let parsed: NumericDate = serde_json::from_str(json).unwrap();
            assert_eq!(parsed, NumericDate::parse(json).unwrap());
            assert_eq!(serde_json::to_string(&parsed).unwrap(), json);
        }
        for json in ["-1", "1e400", "\"1\"", "null", "-0.5"] {
            assert!(serde_json::from_str::<NumericDate>(json).is_err(), "{json}");
        }
    }
}
