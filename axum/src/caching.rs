//! The headers of a response that say how long it may be used, and how it is revalidated.

use std::time::Duration;

use http::header::{AGE, CACHE_CONTROL, ETAG, HeaderMap, HeaderValue};

use crate::limits::Limits;

/// The lifetime of a document whose response names none.
const DEFAULT_TTL: Duration = Duration::from_secs(600);

/// Returns the lifetime of a response (RFC 9111 §4.2), `max-age` less `Age`, within the limits.
pub(crate) fn lifetime(headers: &HeaderMap, limits: &Limits) -> Duration {
    named_lifetime(headers).unwrap_or(DEFAULT_TTL).clamp(limits.min_ttl, limits.max_ttl)
}

/// Returns the lifetime of a document that was revalidated. `known` is its last one.
pub(crate) fn renewed_lifetime(headers: &HeaderMap, limits: &Limits, known: Duration) -> Duration {
    named_lifetime(headers).unwrap_or(known).clamp(limits.min_ttl, limits.max_ttl)
}

/// Returns the entity tag (RFC 9110 §8.8.3), if it can be sent back.
pub(crate) fn entity_tag(headers: &HeaderMap) -> Option<HeaderValue> {
    let tag = headers.get(ETAG)?;
    let quoted = tag.as_bytes().strip_prefix(b"W/").unwrap_or(tag.as_bytes());
    let text = quoted.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    let is_good = text.len() <= 256 && text.iter().all(|byte| matches!(byte, b'!' | b'#'..=b'~'));
    is_good.then(|| tag.clone())
}

/// Returns the lifetime that the response names, if it names one.
fn named_lifetime(headers: &HeaderMap) -> Option<Duration> {
    let values = headers.get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    let mut max_age = None;
    for directive in values.flat_map(|value| value.split(',')) {
        let (name, argument) = directive.split_once('=').unwrap_or((directive, ""));
        match &*name.trim().to_ascii_lowercase() {
            "no-store" | "no-cache" => return Some(Duration::ZERO),
            "max-age" => max_age = max_age.or_else(|| seconds(argument.trim().trim_matches('"'))),
            _ => {}
        }
    }
    let age = headers.get(AGE).and_then(|age| seconds(age.to_str().ok()?)).unwrap_or_default();
    max_age.map(|max_age| max_age.saturating_sub(age))
}

/// Reads `delta-seconds` (RFC 9111 §1.2.2): a number that is too large counts as the largest.
fn seconds(text: &str) -> Option<Duration> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| Duration::from_secs(text.parse().unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn the_lifetime_is_max_age_less_age_within_bounds() {
        for (fields, expected) in [
            (&[][..], 600),
            (&[("cache-control", "public")], 600),
            (&[("cache-control", "public, max-age=300")], 300),
            (&[("cache-control", "max-age=300,public"), ("age", "100")], 200),
            (&[("cache-control", "Max-Age = \"300\"")], 300),
            (&[("cache-control", "public"), ("cache-control", "max-age=300")], 300),
            (&[("cache-control", "max-age=300, max-age=900")], 300),
            (&[("cache-control", "s-maxage=300")], 600),
            (&[("cache-control", "max-age=x")], 600),
            (&[("cache-control", "max-age=-1")], 600),
            (&[("cache-control", "max-age=1")], 30),
            (&[("cache-control", "max-age=300"), ("age", "1000")], 30),
            (&[("cache-control", "max-age=300"), ("age", "x")], 300),
            (&[("cache-control", "max-age=99999999999999999999999")], 86_400),
            (&[("cache-control", "no-store")], 30),
            (&[("cache-control", "max-age=300, no-cache=\"x\"")], 30),
            (&[("age", "100")], 600),
        ] {
            let found = lifetime(&headers(fields), &Limits::default());
            assert_eq!(found, Duration::from_secs(expected), "{fields:?}");
        }
    }

    #[test]
    fn a_revalidated_document_keeps_its_lifetime_unless_the_response_names_one() {
        let known = Duration::from_secs(120);
        for (fields, expected) in [(&[][..], 120), (&[("cache-control", "max-age=300")], 300)] {
            let found = renewed_lifetime(&headers(fields), &Limits::default(), known);
            assert_eq!(found, Duration::from_secs(expected), "{fields:?}");
        }
    }

    #[test]
    fn only_well_formed_entity_tags_are_sent_back() {
        for (tag, expected) in [
            ("\"a\"", true),
            ("W/\"a-1!\"", true),
            ("\"\"", true),
            ("a", false),
            ("\"", false),
            ("\"a b\"", false),
            ("\"a\"b\"", false),
            ("w/\"a\"", false),
        ] {
            assert_eq!(entity_tag(&headers(&[("etag", tag)])).is_some(), expected, "{tag}");
        }
    }
}
